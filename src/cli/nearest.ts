/** The candidate a mistyped word probably meant: at most a third of its letters differ. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word.slice(0, 64).toLowerCase(), candidate.toLowerCase());
    const near = distance <= Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    if (near && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** ` (did you mean …?)`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>, prefix = ""): string {
  const candidate = nearest(word, candidates);
  return candidate === undefined ? "" : ` (did you mean ${prefix}${candidate}?)`;
}

/** Letters to insert, remove, replace or swap with a neighbour. Source: optimal string alignment, after Damerau, 1964. */
function editDistance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = nextRow(a, b, i, { row, before });
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

type Rows = { readonly row: readonly number[]; readonly before: readonly number[] };

/** Distances from the first `i + 1` letters of `a` to every beginning of `b`. */
function nextRow(a: string, b: string, i: number, { row, before }: Rows): readonly number[] {
  const next = [i + 1];
  for (let j = 0; j < b.length; j++) {
    const replaced = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
    const isSwap = i > 0 && j > 0 && a[i] === b[j - 1] && a[i - 1] === b[j];
    const swapped = isSwap ? (before[j - 1] ?? 0) + 1 : Number.POSITIVE_INFINITY;
    next.push(Math.min(replaced, swapped, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
  }
  return next;
}
