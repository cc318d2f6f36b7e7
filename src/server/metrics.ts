import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { StoreStatus } from "../app/ports.ts";
import type { LimitedClass } from "../app/rate-report.ts";
import type { ErrorCode } from "../contract/errors.ts";
import { priorities } from "../contract/messages.ts";

/** What the server counts while it works, and the page that Prometheus reads. */
export type Metrics = {
  /** @param code `ok`, or the code of the error that was answered. */
  observe(operation: string, code: ErrorCode | "ok", ms: number): void;
  /** A request was refused because its token had asked for too much. */
  limited(rate_class: LimitedClass): void;
  /** A wrong token or ticket was refused because too many had come from its address. */
  lockedOut(): void;
  readonly contentType: string;
  render(): Promise<string>;
};

type Sources = {
  readonly status: () => Promise<StoreStatus>;
  readonly connections: () => Readonly<Record<"http" | "websocket", number>>;
  readonly subscriptions: () => number;
  readonly refusedConnections: () => number;
};

const latency_ms = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 60_000];
const sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

const countHelp: Readonly<Record<keyof StoreStatus["counts"], string>> = {
  accepted: "Messages accepted since the server started.",
  delivered: "Deliveries handed out for the first time since the server started.",
  acknowledged: "Deliveries acknowledged since the server started.",
  redelivered: "Deliveries handed out again since the server started.",
  rejected: "Deliveries given back by their recipients since the server started.",
  dead: "Deliveries given up since the server started.",
};

/** Its own registry, so that two servers in one process do not count into each other. */
export function createMetrics(sources: Sources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: "hivepost_requests_total",
    help: "Requests over all transports, by operation and error code (ok: none).",
    labelNames: ["operation", "code"],
    registers,
  });
  const latency = new Histogram({
    name: "hivepost_request_ms",
    help: "Time from a request's arrival to its answer, in milliseconds.",
    labelNames: ["operation"],
    buckets: latency_ms,
    registers,
  });
  const refused = refusalMetrics(registry);
  const store = storeMetrics(registry);
  const server = serverMetrics(registry, sources);

  return {
    observe(operation, code, ms) {
      requests.inc({ operation, code });
      latency.observe({ operation }, ms);
    },
    ...refused,
    contentType: registry.contentType,
    async render() {
      store(await sources.status());
      server();
      return registry.metrics();
    },
  };
}

function refusalMetrics(registry: Registry): Pick<Metrics, "limited" | "lockedOut"> {
  const registers = [registry];
  const limited = new Counter({
    name: "hivepost_rate_limited_total",
    help: "Requests refused because their token had asked for too much, by class.",
    labelNames: ["class"],
    registers,
  });
  const lockedOut = new Counter({
    name: "hivepost_locked_out_total",
    help: "Wrong tokens and tickets refused because too many had come from their address.",
    registers,
  });
  return {
    limited: (rate_class) => limited.inc({ class: rate_class }),
    lockedOut: () => lockedOut.inc(),
  };
}

function serverMetrics(registry: Registry, sources: Sources): () => void {
  const registers = [registry];
  const connections = new Gauge({
    name: "hivepost_connections",
    help: "Open connections by transport.",
    labelNames: ["transport"],
    registers,
  });
  const subscriptions = new Gauge({ name: "hivepost_subscriptions", help: "Open subscriptions.", registers });
  const refused = new Counter({
    name: "hivepost_connections_refused_total",
    help: "Connections closed at once because there were too many.",
    registers,
  });
  return () => {
    for (const [transport, open] of Object.entries(sources.connections())) connections.set({ transport }, open);
    subscriptions.set(sources.subscriptions());
    refused.reset();
    refused.inc(sources.refusedConnections());
  };
}

/** Turns a store's status into metrics. */
function storeMetrics(registry: Registry): (status: StoreStatus) => void {
  const notes = [depthMetric(registry), countMetrics(registry), gaugeMetrics(registry), histogramMetrics(registry)];
  return (status) => {
    for (const note of notes) note(status);
  };
}

function depthMetric(registry: Registry): (status: StoreStatus) => void {
  const registers = [registry];
  const help = "Undelivered messages by priority.";
  const depth = new Gauge({ name: "hivepost_inbox_depth", help, labelNames: ["priority"], registers });
  return (status) => {
    for (const priority of priorities) depth.set({ priority }, status.depth[priority]);
  };
}

function countMetrics(registry: Registry): (status: StoreStatus) => void {
  const counters = Object.entries(countHelp).map(
    ([name, help]) =>
      [
        name as keyof StoreStatus["counts"],
        new Counter({ name: `hivepost_${name}_total`, help, registers: [registry] }),
      ] as const,
  );
  return ({ counts }) => {
    for (const [name, counter] of counters) {
      counter.reset();
      counter.inc(counts[name]);
    }
  };
}

/** Gauges appear under the names that the store gives them. */
function gaugeMetrics(registry: Registry): (status: StoreStatus) => void {
  const known = new Map<string, Gauge>();
  return ({ oldest_age_ms, leased, dead: dead_letters, gauges }) => {
    for (const [name, value] of Object.entries({ oldest_age_ms, leased, dead_letters, ...gauges })) {
      found(known, name, () => new Gauge({ name: `hivepost_${name}`, help: spoken(name), registers: [registry] })).set(
        value,
      );
    }
  };
}

function histogramMetrics(registry: Registry): (status: StoreStatus) => void {
  const known = new Map<string, Histogram>();
  const make = (name: string) => {
    const buckets = name.endsWith("_ms") ? latency_ms : sizes;
    return new Histogram({ name: `hivepost_${name}`, help: spoken(name), buckets, registers: [registry] });
  };
  return ({ observations }) => {
    for (const [name, observed] of Object.entries(observations)) {
      const histogram = found(known, name, () => make(name));
      for (const value of observed) histogram.observe(value);
    }
  };
}

function found<Metric>(known: Map<string, Metric>, name: string, make: () => Metric): Metric {
  const metric = known.get(name) ?? make();
  known.set(name, metric);
  return metric;
}

function spoken(name: string): string {
  return `The store's ${name.replaceAll("_", " ")}.`;
}
