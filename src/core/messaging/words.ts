const word = /[\p{L}\p{N}_]+/gu;
/** Scripts written without spaces: each character counts as a word, or nothing would ever be found. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u;
const beyondAscii = /[^\p{ASCII}]/u;
const asciiWordCodes = Uint8Array.from({ length: 128 }, (_, code) => Number(/\w/.test(String.fromCharCode(code))));
const asciiWord = /[a-z0-9_]+/g;
/** Longer ones are cut: nobody searches for a whole base64 blob, and the index need not hold it. */
export const longestWord = 64;

/**
 * The words of a text, as the search understands them: compatibility-normalised, lower case, letters, digits and
 * underscores; each word once, in order of first occurrence.
 */
export function words(text: string): string[] {
  return [...new Set(wordsInOrder(text))];
}

/** The words as they follow each other, again wherever they come again. */
export function wordsInOrder(text: string): string[] {
  if (isAscii(text)) return (text.toLowerCase().match(asciiWord) ?? []).map(cutAscii);
  const runs = text.normalize("NFKC").toLowerCase().match(word) ?? [];
  return runs.flatMap((run) => (unspaced.test(run) ? splitUnspaced(run) : [run])).map(cut);
}

export function isAscii(text: string): boolean {
  return !beyondAscii.test(text);
}

/** Whether the ASCII character at a place belongs to a word; false outside of the text. */
export function isWordAt(text: string, at: number): boolean {
  return asciiWordCodes[text.charCodeAt(at)] === 1;
}

function cutAscii(text: string): string {
  return text.length <= longestWord ? text : text.slice(0, longestWord);
}

/** Cuts between code points, so that no half surrogate is left. */
function cut(text: string): string {
  return text.length <= longestWord ? text : [...text].slice(0, longestWord).join("");
}

function splitUnspaced(text: string): string[] {
  const parts: string[] = [];
  let run = "";
  for (const character of text) {
    if (unspaced.test(character)) {
      if (run) parts.push(run);
      parts.push(character);
      run = "";
    } else run += character;
  }
  if (run) parts.push(run);
  return parts;
}

/** The scalars of a metadata object by path: `{a: {b: 1}}` → `[["a.b", "1"]]`. Elements of arrays share the array's path. */
export function metadataScalars(metadata: unknown, path = ""): [path: string, value: string][] {
  if (metadata === null || typeof metadata !== "object") return path ? [[path, String(metadata)]] : [];
  if (Array.isArray(metadata)) return metadata.flatMap((element) => metadataScalars(element, path));
  return Object.entries(metadata).flatMap(([field, value]) =>
    metadataScalars(value, path ? `${path}.${field}` : field),
  );
}
