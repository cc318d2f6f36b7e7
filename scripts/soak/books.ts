import type { MessageId } from "../../src/contract/messages.ts";
import { createJudge, type Judge } from "../../test/support/checker.ts";
import type { HiveProcess } from "../../test/support/hive-process.ts";
import { type Audit, createAudit } from "./audit.ts";
import { type Journal, readTicked, type Totals, writeJournal } from "./journal.ts";
import { createLoad, type Load } from "./load.ts";
import { type Block, block_size, idOf, numberOf } from "./numbered.ts";

export type CampaignOptions = {
  /** Where the hive and the books are kept. A campaign that was interrupted there goes on. */
  readonly folder: string;
  readonly messages: number;
  /** Nothing more is sent after so many kills in this session, however few messages that were. */
  readonly kills?: number;
  /** Messages per second; 0: as fast as they go. */
  readonly per_second: number;
  /** How often the server is killed, on average; 0: never. */
  readonly kill_every_ms: number;
  readonly agents: number;
  readonly connections: number;
  readonly window: number;
  readonly content_bytes: number;
  /** Age at which the server forgets what is done with; 0: never. */
  readonly retention_ms: number;
  /** The whole ledger of one message in so many is checked. */
  readonly ledger_every: number;
  readonly seed: number;
  readonly progress_every_ms: number;
  readonly onProgress: (line: string) => void;
  /** Stops it; it can be resumed. */
  readonly signal?: AbortSignal;
};

/** Everything that a running campaign knows. */
export type Campaign = {
  readonly options: CampaignOptions;
  readonly run: number;
  readonly judge: Judge;
  readonly load: Load;
  readonly audit: Audit;
  readonly blocks: Map<number, Block>;
  readonly void: number[];
  readonly complaints: string[];
  /** Totals of the sessions before this one. */
  readonly before: Totals;
  readonly began_ms: number;
  /** The first number of this session. */
  readonly first: number;
  /** Wall times and the number that was next then, oldest first. */
  marks: { readonly ms: number; readonly next: number }[];
  /** To be sent in all. */
  messages: number;
  reserved: number;
  kills: number;
  worst_downtime_ms: number;
  hive: HiveProcess | undefined;
};

/** Complaints kept: the first ones tell most. */
const most_complaints = 20;

/** @param journal Of the sessions before, if any. */
export function createCampaign(options: CampaignOptions, journal: Journal = freshJournal(options)): Campaign {
  const { run, reserved } = journal;
  const complaints = [...journal.complaints];
  const complain = (what: string) => {
    if (complaints.length < most_complaints) complaints.push(what);
  };
  const judge = createJudge({ max_attempts: 1_000 });
  const idOf = (n: number) => idIn(campaign, n);
  const allowance = () => allowanceOf(campaign);
  const ticked = readTicked(options.folder) ?? { since_ms: journal.totals.started_ms - 1_000, bits: new Uint8Array(0) };
  const campaign: Campaign = {
    options,
    run,
    judge,
    complaints,
    messages: options.messages,
    reserved,
    blocks: new Map(journal.blocks.map((it) => [it.first / block_size, it])),
    load: createLoad({ ...options, judge, complain, idOf, allowance }, reserved),
    audit: createAudit({ ...options, run, complain, ticked }),
    void: [...journal.void],
    before: journal.totals,
    began_ms: performance.now(),
    first: reserved,
    marks: [{ ms: Date.now(), next: reserved }],
    kills: 0,
    worst_downtime_ms: 0,
    hive: undefined,
  };
  return campaign;
}

function freshJournal({ messages }: CampaignOptions): Journal {
  const started_ms = Date.now();
  const counts = { active_ms: 0, sessions: 0, kills: 0, delivered_again: 0, leases_lost: 0, worst_downtime_ms: 0 };
  return {
    run: Math.floor(started_ms / 1_000) % 4_096,
    messages,
    blocks: [],
    reserved: 0,
    next: 0,
    open: [],
    accepted_open: [],
    void: [],
    totals: { started_ms, ...counts },
    complaints: [],
  };
}

export function idIn({ run, blocks }: Campaign, n: number): MessageId {
  const block = blocks.get(Math.floor(n / block_size));
  if (!block) throw new Error(`number ${n} was never set aside`);
  return idOf(run, n, block);
}

function allowanceOf(campaign: Campaign): number {
  const { options, load, began_ms, first } = campaign;
  const needed = numbersOf(campaign);
  if (load.next >= campaign.reserved && campaign.reserved < needed) reserve(campaign);
  const paced =
    options.per_second > 0
      ? first + ((performance.now() - began_ms) / 1_000) * options.per_second
      : Number.POSITIVE_INFINITY;
  return Math.min(needed, campaign.reserved, paced);
}

/** How many numbers it takes: one for each message, and those that an interruption has made void. */
export function numbersOf({ messages, void: gone }: Pick<Campaign, "messages" | "void">): number {
  return messages + gone.length;
}

/** Sets numbers aside, and writes that down before the first of them is used. */
function reserve(campaign: Campaign): void {
  const index = Math.floor(campaign.reserved / block_size);
  const first = index * block_size;
  if (!campaign.blocks.has(index)) campaign.blocks.set(index, { first, count: block_size, time_ms: Date.now() });
  campaign.reserved = first + block_size;
  save(campaign);
}

/** @param reserved Numbers from this one on are free for the next session. */
export function save(campaign: Campaign, reserved: number = campaign.reserved): void {
  const { options, run, judge, load, blocks, complaints } = campaign;
  const open = judge.openIds().flatMap((id) => numberOf(run, id) ?? []);
  const oldest = Math.min(load.next, ...open);
  for (const [index, block] of blocks) {
    if (block.first + block.count <= oldest && block.first + block.count < campaign.reserved) blocks.delete(index);
  }
  writeJournal(options.folder, {
    run,
    messages: campaign.messages,
    blocks: [...blocks.values()],
    reserved,
    next: load.next,
    open,
    accepted_open: open.filter((n) => !load.unanswered.has(n)),
    void: campaign.void,
    totals: totalsOf(campaign),
    complaints: [...complaints, ...judge.complaints],
  });
}

export function totalsOf({ before, judge, began_ms, kills, worst_downtime_ms }: Campaign): Totals {
  return {
    started_ms: before.started_ms,
    active_ms: Math.round(before.active_ms + performance.now() - began_ms),
    sessions: before.sessions + 1,
    kills: before.kills + kills,
    delivered_again: before.delivered_again + judge.counts.delivered_again,
    leases_lost: before.leases_lost + judge.counts.leases_lost,
    worst_downtime_ms: Math.max(before.worst_downtime_ms, worst_downtime_ms),
  };
}
