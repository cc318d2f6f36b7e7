import type { Mailroom } from "./mailroom.ts";
import type { Office } from "./office.ts";
import type { StoreStatus } from "./ports.ts";

/** Observations kept for a reader that never comes; beyond this the oldest are let go. */
const kept_observations = 100_000;

export function statusOperations(office: Office, version: string): Pick<Mailroom, "health" | "status"> {
  let waiting: Record<string, readonly number[]> = {};

  const look = async (): Promise<StoreStatus> => {
    const status = await office.store.status();
    for (const [name, observed] of Object.entries(status.observations)) {
      waiting[name] = [...(waiting[name] ?? []), ...observed].slice(-kept_observations);
    }
    return status;
  };

  return {
    async health(_, { caller }) {
      if (caller.scopes.every((it) => it === "open")) return { status: "ok" };
      const { observations: _unread, ...store } = await look();
      const uptime_ms = Math.round(office.clock.elapsed() - office.opened_at_ms);
      return { status: "ok", version, uptime_ms, store };
    },

    async status() {
      const status = await look();
      const observations = waiting;
      waiting = {};
      return { ...status, observations };
    },
  };
}
