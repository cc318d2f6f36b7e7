import type { Cursor, MessageId } from "../../src/contract/messages.ts";
import { moments, priorities } from "../../src/contract/messages.ts";
import { deliveriesOf, expectSame, hasExpired, rankNow, Violation } from "./model.ts";
import type { Run } from "./run.ts";
import type { Waiter } from "./world.ts";

/** How long mail may lie there although somebody waits for it: a subscriber held up by others looks again by itself. */
const patience_ms = 700;

/** What must hold whenever everything has come to rest. @throws Violation */
export function checkMoment(run: Run): void {
  const { errors, seen } = run;
  if (errors.length > 0) throw errors[0];
  if (seen.judge.complaints.length > 0) throw new Violation(seen.judge.complaints.join("; "));
  for (const waiter of run.waiters) checkWaiter(run, waiter);
  checkNotices(run);
}

/** Nobody who is entitled to mail is left waiting for mail that is there. */
function checkWaiter(run: Run, waiter: Waiter): void {
  const { model } = run;
  const own = deliveriesOf(model, waiter.agent_id);
  const leased = own.filter((it) => it.state === "leased");
  if (waiter.stream) {
    const { granted, leases } = waiter.stream;
    const outstanding = leased.filter((it) => it.lease_id && leases.has(it.lease_id)).length;
    if (outstanding > granted) throw new Violation(`${waiter.agent_id} granted ${granted}, but ${outstanding} are out`);
    if (outstanding === granted) {
      run.waitingSince.delete(waiter);
      return;
    }
  }
  const isBarred = leased.length >= model.policy.open_leases_per_agent;
  const waiting = own.filter((it) => {
    if (isBarred || it.state !== "ready" || hasExpired(model, it)) return false;
    if (waiter.min_priority && rankNow(model, it) > priorities.indexOf(waiter.min_priority)) return false;
    return !waiter.when || moments.indexOf(it.message.publication.when) <= moments.indexOf(waiter.when);
  });
  const [first] = waiting;
  const now = run.time.clock.elapsed();
  if (first) run.waitingSince.set(waiter, run.waitingSince.get(waiter) ?? now);
  else run.waitingSince.delete(waiter);
  if (first && now - (run.waitingSince.get(waiter) ?? now) > patience_ms) {
    const way = waiter.stream ? "subscriber with credit" : "caller";
    throw new Violation(
      `a ${way} waits for ${waiter.agent_id}'s mail while ${first.message.publication.id} lies there`,
    );
  }
}

/** Every sender that can be told has been told of every death. */
function checkNotices({ model, seen, server }: Run): void {
  if (!server) return;
  for (const death of seen.owed.keys()) {
    const from_agent = model.messages.get(death.split(" ")[0] as MessageId)?.publication.from_agent;
    const isThere = from_agent !== undefined && seen.fleet.has(from_agent);
    if (isThere && !seen.hasFleetChanged) throw new Violation(`${from_agent} was never told of the death of ${death}`);
    // A sender that is not registered finds it among the dead letters.
    if (!isThere || seen.hasFleetChanged) seen.owed.delete(death);
  }
  seen.hasFleetChanged = false;
}

/** What must hold when all is over: everything that was accepted is there, and every way to look at it says the same. */
export async function checkEnd(run: Run): Promise<void> {
  const { model, seen, server, followed } = run;
  if (!server) throw new Violation("the server is down at the end");
  const { mailroom, gate } = server;
  const call = { caller: { actor: "operator", scopes: ["operate"] as const } };
  const ask = async <Answer>(asked: Promise<Answer>): Promise<Answer> => {
    await gate.drain();
    return asked;
  };
  const found: MessageId[] = [];
  for (let cursor: Cursor | undefined, first = true; first || cursor; first = false) {
    const page = await ask(mailroom.searchMessages({ order: "asc", limit: 7, ...(cursor && { cursor }) }, call));
    found.push(...page.messages.map((it) => it.id));
    cursor = page.next_cursor;
  }
  const known = [...model.messages.keys()];
  expectSame([...found].sort(), [...known].sort(), "messages in the history");
  for (const message_id of known) {
    const message = await ask(mailroom.getMessage({ message_id }, call));
    expectSame(message.acknowledged, true, `acknowledged of ${message_id}`);
    if (seen.judge.isOpen(message_id)) seen.judge.audit(message, { crashes: seen.losesLeases });
    if (run.missedEvents) continue;
    const events = followed.filter((it) => it.message_id === message_id);
    const told = events.map((it) => `${it.at} ${it.event} ${it.agent_id} ${it.reason}`);
    const kept = message.ledger.map((it) => `${it.at} ${it.event} ${it.agent_id} ${it.reason}`);
    expectSame(told, kept, `events that were followed, and the ledger, of ${message_id}`);
  }
  for (const agent_id of seen.fleet.keys())
    expectSame((await ask(mailroom.getInbox({ agent_id }, call))).total, 0, "left");
  checkMoment(run);
}
