import { BusError } from "../contract/errors.ts";
import type { Delivery } from "../contract/messages.ts";
import type { Bus } from "../contract/operations.ts";

/** Why a handler's signal was aborted: the message is no longer this worker's, and may be another's. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

export type LeaseKeeping = {
  readonly bus: Pick<Bus<[options?: { timeout_ms?: number }]>, "extendLease">;
  readonly lease_ms: number;
  readonly elapsed: () => number;
};

/** A lease that is renewed until it is ended or lost. */
export type Lease = {
  delivery(): Delivery;
  /** Aborted with `LeaseLost` when the lease is lost, or with the reason it was given up for. */
  readonly signal: AbortSignal;
  /** The same message was delivered again: from now on it is kept under the new lease. */
  takeOver(delivery: Delivery): void;
  /** The connection was lost, so the lease may be void; it counts as lost unless it is renewed or taken over in time. */
  suspect(): void;
  /** Keeps the message for at least `lease_ms` from now. @throws LeaseLost, BusError */
  extend(lease_ms: number): Promise<void>;
  /** Stops renewing; a reason aborts the signal as well. */
  end(reason?: Error): void;
};

type LeaseState = LeaseKeeping & {
  delivery: Delivery;
  /** Elapsed time until which the server keeps the message for us, as far as we know; errs on the early side. */
  until_ms: number;
  suspected: boolean;
  readonly abort: AbortController;
  readonly timer: ReturnType<typeof setInterval>;
};

/** Renews a lease at a third of its time, so that two renewals may fail before it is lost. */
export function keepLease(keeping: LeaseKeeping, delivery: Delivery): Lease {
  const abort = new AbortController();
  const state: LeaseState = {
    ...keeping,
    delivery,
    until_ms: keeping.elapsed() + keeping.lease_ms,
    suspected: false,
    abort,
    timer: setInterval(() => void keep(state), Math.max(1, keeping.lease_ms / 3)),
  };
  return {
    delivery: () => state.delivery,
    signal: abort.signal,
    takeOver(redelivery) {
      state.delivery = redelivery;
      state.suspected = false;
      state.until_ms = state.elapsed() + state.lease_ms;
    },
    suspect() {
      state.suspected = true;
    },
    async extend(lease_ms) {
      if (!(await renew(state, lease_ms))) throw lost(state);
    },
    end(reason) {
      clearInterval(state.timer);
      if (reason) abort.abort(reason);
    },
  };
}

async function keep(state: LeaseState): Promise<void> {
  const left_ms = state.until_ms - state.elapsed();
  if (left_ms <= 0) return lose(state);
  if (left_ms > state.lease_ms) return; // The handler asked for more than we would.
  try {
    const renewed = await renew(state, state.lease_ms);
    // After a lost connection the redelivery that revives the lease may still be on its way.
    if (!renewed && !state.suspected) lose(state);
  } catch {
    // Unreachable or busy: there are more tries before `until_ms`, which settles it.
  }
}

/** False where the lease is lost. */
async function renew(state: LeaseState, lease_ms: number): Promise<boolean> {
  const { message, lease_id } = state.delivery;
  const asked_ms = state.elapsed();
  try {
    const request = { message_id: message.id, lease_id, lease_ms };
    const { reason } = await state.bus.extendLease(request, { timeout_ms: state.lease_ms });
    if (state.delivery.lease_id !== lease_id) return true; // Taken over meanwhile: this answer is about the old lease.
    if (reason === "lease_lost") return false;
  } catch (error) {
    if (error instanceof BusError && error.code === "message_not_found") return false;
    throw error;
  }
  state.suspected = false;
  state.until_ms = Math.max(state.until_ms, asked_ms + lease_ms);
  return true;
}

function lose(state: LeaseState): void {
  clearInterval(state.timer);
  state.abort.abort(lost(state));
}

function lost({ delivery: { message } }: LeaseState): LeaseLost {
  return new LeaseLost(`the lease of message ${message.id} is lost; another worker may have it`);
}
