import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressBlock } from "../../../src/core/limits/address-block.ts";

describe("the block of an address", () => {
  const cases: readonly (readonly [address: string, block: string])[] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::ffff:c000:207", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"],
    ["2001:db8::5", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["64:ff9b::192.0.2.33", "64:ff9b:0:0::/64"],
    ["", ""],
    ["1:2:3", "1:2:3"],
  ];
  for (const [address, block] of cases) {
    it(`of ${address || "nobody"} is ${block || "nobody's"}`, () => assert.equal(addressBlock(address), block));
  }

  it("is one for all addresses of a network of 64 bits, and another for another", () => {
    const group = fc.nat(0xffff);
    const four = fc.tuple(group, group, group, group).filter(([first]) => first > 0);
    const written = (groups: readonly number[]) => groups.map((it) => it.toString(16)).join(":");
    fc.assert(
      fc.property(four, four, four, four, (network, other, host, another) => {
        const block = addressBlock(written([...network, ...host]));
        assert.equal(addressBlock(written([...network, ...another])), block);
        assert.equal(addressBlock(written([...other, ...host])) === block, written(other) === written(network));
      }),
    );
  });

  it("never fails, whatever it is given", () => {
    fc.assert(fc.property(fc.string(), (text) => typeof addressBlock(text) === "string"));
  });
});
