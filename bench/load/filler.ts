import { type Random, seededRandom } from "../../src/base/random.ts";

const syllables = "ba be ci do fe ga hi jo ka li mo ne or pu ra se ti un vo za sh er ing ted ly con pre ent".split(" ");
const vocabularySize = 20_000;

/** Made-up words, the most frequent first; always the same ones. */
export function createVocabulary(): string[] {
  const random = seededRandom(1);
  const wordOf = () => Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(syllables, random)).join("");
  return Array.from({ length: vocabularySize }, (_, rank) => `${wordOf()}${rank % 7 === 0 ? rank : ""}`);
}

/**
 * Text that reads like mail to a parser, an index and a compressor: words with the frequencies of a language (Zipf), line
 * breaks, and something to escape. Filler of one repeated letter would flatter every one of them.
 */
export function createFiller(seed: number): (length: number) => string {
  const random = seededRandom(seed);
  const vocabulary = createVocabulary();
  return (length) => {
    let text = "";
    while (text.length < length) text += `${wordByZipf(vocabulary, random)}${separator(random)}`;
    return text.slice(0, length);
  };
}

/** Frequency falls with one over the rank: the logarithm of the rank is uniform. */
function wordByZipf(vocabulary: readonly string[], random: Random): string {
  return vocabulary[Math.floor(vocabularySize ** random()) - 1] ?? "";
}

function separator(random: Random): string {
  const chance = random();
  return chance < 0.9 ? " " : chance < 0.97 ? ", " : ".\n";
}

function pick<T extends string>(from: readonly T[], random: Random): string {
  return from[Math.floor(random() * from.length)] ?? "";
}
