// What does encryption at rest cost a core: sealing and opening 1 KiB, and a term of the blind index, remembered or not?
import { createSecretKey } from "node:crypto";
import { createBlindIndex } from "../src/crypto/blind-index.ts";
import { createFieldCipher } from "../src/crypto/field-cipher.ts";
import type { CipherKeys } from "../src/crypto/key-ring.ts";
import { createFiller } from "./load/filler.ts";
import { figuresOf, runBench } from "./measure/bench.ts";

/** Operations per second on one core. */
type Round = {
  readonly seals: number;
  readonly opens: number;
  readonly terms_remembered: number;
  readonly terms_fresh: number;
};

/** Acts of the warm-up are numbered below this. */
const measuredFrom = 1_000_000_000;
const keys: CipherKeys = {
  hive_id: "bench",
  content: [{ epoch: 1, key_id: "00000000000000a1", key: freshKey() }],
  index: freshKey(),
};
const place = { message_id: "0191b8e0-0000-7000-8000-000000000001", field: "content" } as const;

await runBench<Round>({
  name: "crypto",
  question: "Sealing and opening 1 KiB of mail, and terms of the blind index, per second of one core's time",
  rounds: 5,
  seconds: 2,
  async round({ seconds }) {
    const cipher = createFieldCipher(keys, (bytes) => crypto.getRandomValues(bytes));
    const filler = createFiller(1);
    const texts = Array.from({ length: 64 }, () => filler(1_024));
    const sealed = texts.map((it) => cipher.seal(place, it));
    const words = texts.join(" ").split(/\W+/);
    const { term } = createBlindIndex(keys.index);
    return {
      seals: perSecond(seconds, (i) => cipher.seal(place, texts[i % texts.length] ?? "")),
      opens: perSecond(seconds, (i) => cipher.open(place, sealed[i % sealed.length] ?? new Uint8Array())),
      terms_remembered: perSecond(seconds, (i) => term("word", words[i % words.length] ?? "")),
      terms_fresh: perSecond(seconds, (i) => term("word", `fresh${i}`)),
    };
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("seals of 1 KiB", "/s", (it) => it.seals, { at_least: 1_000 }),
      figure("time of a seal", "µs", (it) => 1e6 / it.seals),
      figure("opens of 1 KiB", "/s", (it) => it.opens, { at_least: 1_000 }),
      figure("time of an open", "µs", (it) => 1e6 / it.opens),
      figure("blind terms, remembered", "/s", (it) => it.terms_remembered),
      figure("blind terms, fresh", "/s", (it) => it.terms_fresh),
      figure("what remembering a term saves", "×", (it) => it.terms_remembered / it.terms_fresh),
    ];
  },
});

/** How often it can be done in a second of processor time, garbage collection included; measured after as long a time of warming up. */
function perSecond(seconds: number, act: (i: number) => unknown): number {
  runFor(seconds / 2, act, 0);
  const before = process.cpuUsage();
  const done = runFor(seconds / 2, act, measuredFrom);
  const { user, system } = process.cpuUsage(before);
  return (done * 1e6) / (user + system);
}

/** @param first Number of the first act, so that the measured ones are others than those of the warm-up. */
function runFor(seconds: number, act: (i: number) => unknown, first: number): number {
  const end = performance.now() + seconds * 1_000;
  let i = first;
  while (performance.now() < end) for (const last = i + 100; i < last; i++) act(i);
  return i - first;
}

function freshKey() {
  return createSecretKey(crypto.getRandomValues(new Uint8Array(32)));
}
