import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { TracedMessage } from "../../src/contract/messages.ts";
import { startHive } from "../../test/support/hive-process.ts";
import { type Campaign, type CampaignOptions, createCampaign, idIn, numbersOf, save, totalsOf } from "./books.ts";
import { type Journal, readJournal, writeTicked } from "./journal.ts";
import { agentName, numberOf, routeOf } from "./numbered.ts";

export type CampaignResult = {
  readonly outcome: "complete" | "interrupted" | "failed";
  readonly messages: number;
  readonly acknowledged: number;
  /** Numbers that were never accepted, because the soak itself was interrupted. */
  readonly void: number;
  readonly kills: number;
  readonly sessions: number;
  readonly active_s: number;
  readonly per_second: number;
  readonly delivered_again: number;
  readonly leases_lost: number;
  readonly worst_downtime_ms: number;
  readonly own_resident_mib: number;
  readonly complaints: readonly string[];
};

/** Sends all messages through a server that is killed again and again, and accounts for every one of them. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const journal = readJournal(options.folder);
  const campaign = createCampaign(options, journal);
  try {
    await startServer(campaign, () => takeUp(campaign, journal));
    const isComplete = await live(campaign);
    if (isComplete) await reconcile(campaign);
    return resultOf(campaign, isComplete);
  } finally {
    save(campaign, campaign.load.next);
    const ended = campaign.load.expectEnd();
    await campaign.hive?.[Symbol.asyncDispose]();
    await ended;
  }
}

async function startServer(campaign: Campaign, beforeMail?: () => Promise<void>): Promise<void> {
  const { options } = campaign;
  campaign.hive = await startHive(path.join(options.folder, "hive"), {
    environment: { HIVEPOST_RETENTION_MS: String(options.retention_ms), HIVEPOST_LOG_LEVEL: "error" },
  });
  await campaign.load.connect(campaign.hive, beforeMail);
}

/** Finds out what became of everything whose end the interrupted session did not write down. */
async function takeUp(campaign: Campaign, journal: Journal | undefined): Promise<void> {
  if (!journal) return;
  const accepted = new Set(journal.accepted_open);
  const sentSince = Array.from({ length: journal.reserved - journal.next }, (_, index) => journal.next + index);
  const unknown = [...journal.open, ...sentSince];
  for (let i = 0; i < unknown.length; i += looks_at_once) {
    const part = unknown.slice(i, i + looks_at_once);
    const found = await Promise.all(part.map((n) => campaign.load.look(idIn(campaign, n))));
    for (const [index, n] of part.entries()) takeUpOne(campaign, n, found[index], accepted.has(n));
  }
}

function takeUpOne(campaign: Campaign, n: number, message: TracedMessage | undefined, wasAccepted: boolean): void {
  const { judge, options } = campaign;
  if (!message) {
    campaign.void.push(n);
    if (wasAccepted) campaign.complaints.push(`message ${n} was accepted, but is gone`);
  } else if (!message.acknowledged) {
    judge.sent({ id: message.id, recipients: [agentName(routeOf(n, options.agents).to)] });
    judge.accepted(message.id);
  }
}

const looks_at_once = 64;

/** Something to be done again and again. Times since the session began. */
type Chore = { due_ms: number; readonly wait_ms: () => number; readonly act: () => Promise<void> };

/** Keeps everything going. @returns Whether all was sent and acknowledged, rather than interrupted. */
async function live(campaign: Campaign): Promise<boolean> {
  const { options, load, judge } = campaign;
  const random = seededRandom(options.seed);
  const chore = (wait_ms: () => number, act: () => Promise<void>): Chore => ({ due_ms: wait_ms(), wait_ms, act });
  const chores = [
    chore(
      () => nextKill(options, random),
      () => killServer(campaign),
    ),
    chore(
      () => audit_every_ms,
      () => auditOld(campaign),
    ),
    chore(
      () => options.progress_every_ms,
      async () => {
        options.onProgress(describeProgress(campaign));
        save(campaign);
      },
    ),
  ];
  const since_ms = () => performance.now() - campaign.began_ms;
  const watch = { moved_ms: 0, moves: 0 };
  while (!options.signal?.aborted) {
    if (load.next >= numbersOf(campaign) && judge.openCount === 0) return true;
    for (const it of chores.filter(({ due_ms }) => since_ms() >= due_ms)) {
      await it.act();
      it.due_ms = since_ms() + it.wait_ms();
    }
    requireProgress(campaign, watch, since_ms());
    load.fill();
    await delay(tick_ms);
  }
  return false;
}

const tick_ms = 10;
const audit_every_ms = 60_000;
/** When nothing has moved for so long, something is stuck: longer than a lease, since a lost push comes back then. */
const patience_ms = 120_000;

/** Between half and one and a half of the average, so that no moment is spared. */
function nextKill({ kill_every_ms }: CampaignOptions, random: Random): number {
  return kill_every_ms === 0 ? Number.POSITIVE_INFINITY : kill_every_ms * (0.5 + random());
}

function requireProgress({ judge, load }: Campaign, watch: { moved_ms: number; moves: number }, now_ms: number): void {
  const { sent, accepted, acknowledged } = judge.counts;
  const moves = sent + accepted + acknowledged;
  if (moves !== watch.moves || judge.openCount === 0) Object.assign(watch, { moves, moved_ms: now_ms });
  if (now_ms - watch.moved_ms < patience_ms) return;
  const left = judge.openIds().slice(0, 5).join(", ");
  throw new Error(
    `nothing has moved for ${patience_ms} ms; ${judge.openCount} messages are open (${load.unanswered.size} unanswered), such as ${left}`,
  );
}

async function killServer(campaign: Campaign): Promise<void> {
  const { judge, load, hive, options } = campaign;
  if (!hive) return;
  const killed_ms = performance.now();
  const ended = load.expectEnd();
  const how = await hive.end("SIGKILL");
  if (how !== "SIGKILL") campaign.complaints.push(`the server ended by itself: ${how} ${hive.errors().slice(-2_000)}`);
  await ended;
  const doubtful = judge.doubtfulIds();
  await startServer(campaign);
  campaign.kills += 1;
  if (campaign.kills === options.kills) campaign.messages = load.next - campaign.void.length;
  campaign.worst_downtime_ms = Math.max(campaign.worst_downtime_ms, Math.round(performance.now() - killed_ms));
  // An acknowledgement that had no answer counts or does not; what does not is delivered again.
  for (const id of doubtful) {
    const message = judge.isOpen(id) ? await load.look(id) : undefined;
    if (message?.acknowledged) judge.audit(message, { crashes: true });
  }
}

/** Reads in the history what was accepted before anything that is still open was sent. */
async function auditOld(campaign: Campaign): Promise<void> {
  const { audit, judge, load, options, run } = campaign;
  const oldest = Math.min(load.next, ...judge.openIds().flatMap((id) => numberOf(run, id) ?? []));
  const mark = campaign.marks.findLast((it) => it.next <= oldest);
  campaign.marks = [...campaign.marks.filter((it) => it.ms >= (mark?.ms ?? 0)), { ms: Date.now(), next: load.next }];
  if (!mark) return;
  await audit.readOn(load, mark.ms);
  writeTicked(options.folder, audit.ticked);
}

/** Everything has come to its end: is it all there, once each? */
async function reconcile(campaign: Campaign): Promise<void> {
  const { audit, load, options, complaints } = campaign;
  await audit.readOn(load, Date.now() + 1_000);
  writeTicked(options.folder, audit.ticked);
  const gone = new Set(campaign.void);
  const missing: number[] = [];
  for (let n = 0; n < numbersOf(campaign); n++) if (audit.has(n) === gone.has(n)) missing.push(n);
  if (missing.length > 0) {
    complaints.push(`${missing.length} messages are not in the history as they should be: ${missing.slice(0, 10)}`);
  }
}

function describeProgress(campaign: Campaign): string {
  const { judge, load, audit, options } = campaign;
  const { active_ms, kills } = totalsOf(campaign);
  const share = ((100 * load.next) / options.messages).toFixed(1);
  const rate = Math.round((load.next - campaign.first) / ((performance.now() - campaign.began_ms) / 1_000));
  const memory_mib = Math.round(process.memoryUsage().rss / 2 ** 20);
  return (
    `${Math.round(active_ms / 1_000)} s: ${load.next} of ${options.messages} sent (${share} %, ${rate}/s), ` +
    `${judge.openCount} on their way, ${audit.count} audited, ${kills} kills, ` +
    `${judge.counts.delivered_again} seen again, ${complaintsOf(campaign).length} complaints, ${memory_mib} MiB`
  );
}

function complaintsOf({ complaints, judge }: Campaign): string[] {
  return [...complaints, ...judge.complaints];
}

function resultOf(campaign: Campaign, isComplete: boolean): CampaignResult {
  const { audit } = campaign;
  const { active_ms, kills, sessions, delivered_again, leases_lost, worst_downtime_ms } = totalsOf(campaign);
  const complaints = complaintsOf(campaign);
  return {
    outcome: complaints.length > 0 ? "failed" : isComplete ? "complete" : "interrupted",
    messages: campaign.messages,
    acknowledged: audit.count,
    void: campaign.void.length,
    kills,
    sessions,
    active_s: Math.round(active_ms / 1_000),
    per_second: Math.round((campaign.load.next - campaign.void.length) / (active_ms / 1_000)),
    delivered_again,
    leases_lost,
    worst_downtime_ms,
    own_resident_mib: Math.round(process.memoryUsage().rss / 2 ** 20),
    complaints,
  };
}
