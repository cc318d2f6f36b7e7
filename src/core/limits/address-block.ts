/**
 * Whoever holds an address, as far as one can tell: the address itself for IPv4 (also where it is written as IPv6), the network of
 * 64 bits for IPv6, since that is the least a customer is given and all of it is at his command.
 *
 * @param address As a socket tells it; anything else stands for itself.
 * Source: RFC 6177, and RFC 4291 sections 2.2 and 2.5.5.2 for how addresses are written.
 */
export function addressBlock(address: string): string {
  const plain = address.split("%", 1)[0] ?? "";
  if (!plain.includes(":")) return plain;
  const groups = groupsOf(plain);
  if (groups.length !== 8) return plain;
  const mapped = groups.slice(0, 5).every((it) => it === 0) && groups[5] === 0xffff;
  if (!mapped) return `${groups.slice(0, 4).map(hex).join(":")}::/64`;
  return groups
    .slice(6)
    .flatMap((it) => [it >> 8, it & 0xff])
    .join(".");
}

/** The eight groups of an IPv6 address, or another number of them where it is none. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = address.split("::", 2);
  const front = partsOf(head);
  if (tail === undefined) return front;
  const back = partsOf(tail);
  return [...front, ...Array<number>(Math.max(0, 8 - front.length - back.length)).fill(0), ...back];
}

function partsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!part.includes(".")) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

function hex(group: number): string {
  return group.toString(16);
}
