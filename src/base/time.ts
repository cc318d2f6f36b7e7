/** RFC 3339 in UTC with milliseconds: what every time on the wire looks like, so that times sort as text. */
export function toTimestamp(ms: number): string {
  const last = lastTimestamps[ms & lastMask];
  if (last?.ms === ms) return last.text;
  const text = new Date(ms).toISOString();
  lastTimestamps[ms & lastMask] = { ms, text };
  return text;
}

/** Under load many messages share a millisecond, and making the text takes longer than finding it. */
const lastTimestamps: { readonly ms: number; readonly text: string }[] = [];
const lastMask = 15;

/** Milliseconds since the Unix epoch, or undefined where `text` names no real moment. */
export function parseTimestamp(text: string): number | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) || !isDay(text) ? undefined : ms;
}

/** V8 reads 31 February as 3 March. */
function isDay(text: string): boolean {
  const [date = ""] = text.split(/[Tt]/, 1);
  return new Date(`${date}T00:00:00Z`).getUTCDate() === Number(date.slice(-2));
}

/** "850 ms", "12 s", "3 min", "5 h", "2 d": for people, rounded. */
export function describeDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}
