import { homedir } from "node:os";
import path from "node:path";

const minute_ms = 60_000;
const day_ms = 86_400_000;

/**
 * Every setting: what it is, its default, and the least and most it may be. Flag `--inbox-depth`, environment
 * `HIVEPOST_INBOX_DEPTH`, and `inbox_depth` in `hivepost.config.json` all set `inbox_depth`, in that order of precedence.
 */
export const settings = {
  host: { default: "127.0.0.1", help: "Address to listen on." },
  port: { default: 4483, minimum: 0, maximum: 65_535, help: "Port to listen on; 0 picks a free one." },
  tls_cert: {
    default: "",
    is: "path",
    help: "Certificate (PEM, with its chain) to speak TLS with; goes with `tls_key`.",
  },
  tls_key: { default: "", is: "path", help: "Private key (PEM, not encrypted) of the certificate." },
  insecure: { default: false, help: "Listen on an address that others can reach without TLS." },
  allowed_hosts: {
    default: "",
    is: "hosts",
    help: "Further names, separated by commas, that requests may call this server by, as through a reverse proxy.",
  },
  allowed_origins: {
    default: "",
    is: "origins",
    help: "Origins, separated by commas, whose web pages may call this server.",
  },
  data_dir: {
    default: path.join(homedir(), ".hivepost"),
    is: "path",
    help: "Folder of the hive: its databases and first token.",
  },
  master_key_file: {
    default: "",
    is: "path",
    help: "File of the master key, apart from data_dir; by default HIVE.key in hivepost in your configuration folder.",
  },
  lease_ms: { default: 30_000, minimum: 1, maximum: day_ms, help: "How long a claimed message is kept from others." },
  max_attempts: { default: 5, minimum: 1, maximum: 1_000, help: "Deliveries of a message before it is given up." },
  backoff_base_ms: { default: 1_000, minimum: 0, maximum: day_ms, help: "Longest delay before the second attempt." },
  backoff_max_ms: {
    default: 5 * minute_ms,
    minimum: 0,
    maximum: 30 * day_ms,
    help: "Longest delay before any attempt.",
  },
  aging_ms: {
    default: 0,
    minimum: 0,
    maximum: 30 * day_ms,
    help: "Wait after which a message ranks one priority higher; 0: never.",
  },
  idempotency_ms: {
    default: day_ms,
    minimum: 1_000,
    maximum: 365 * day_ms,
    help: "How long an idempotency key is remembered.",
  },
  cursor_ms: { default: day_ms, minimum: 1_000, maximum: 365 * day_ms, help: "How long a cursor is good for." },
  inbox_depth: {
    default: 10_000,
    minimum: 1,
    maximum: 10_000_000,
    help: "Undelivered messages an inbox holds before it refuses more.",
  },
  open_leases_per_agent: {
    default: 1_000,
    minimum: 1,
    maximum: 1_000_000,
    help: "Unacknowledged messages an agent may hold.",
  },
  body_bytes: {
    default: 256 * 1_024,
    minimum: 1_024,
    maximum: 64 * 1_024 * 1_024,
    help: "Largest request body or frame.",
  },
  batch_body_bytes: {
    default: 16 * 1_024 * 1_024,
    minimum: 1_024,
    maximum: 256 * 1_024 * 1_024,
    help: "Largest body of a batch or import.",
  },
  connections: { default: 10_000, minimum: 1, maximum: 1_000_000, help: "Open connections, all transports together." },
  sends_per_second: {
    default: 200,
    minimum: 1,
    maximum: 1_000_000,
    help: "Messages that an agent's token may send each second, in the long run.",
  },
  sends_burst: {
    default: 1_000,
    minimum: 1,
    maximum: 1_000_000,
    help: "Messages that an agent's token may send at once after a rest.",
  },
  reads_per_second: {
    default: 2_000,
    minimum: 1,
    maximum: 1_000_000,
    help: "Claims, searches and other reads that an agent's token may make each second, in the long run.",
  },
  reads_burst: {
    default: 4_000,
    minimum: 1,
    maximum: 1_000_000,
    help: "Reads that an agent's token may make at once after a rest.",
  },
  changes_per_second: {
    default: 100,
    minimum: 1,
    maximum: 1_000_000,
    help: "Registrations, heartbeats and changes of conversations that an agent's token may make each second, in the long run.",
  },
  changes_burst: {
    default: 500,
    minimum: 1,
    maximum: 1_000_000,
    help: "Such changes that an agent's token may make at once after a rest.",
  },
  failed_logins_per_minute: {
    default: 20,
    minimum: 1,
    maximum: 1_000_000,
    help: "Wrong tokens and tickets from one address that are looked at each minute; a valid token is never locked out.",
  },
  confirm_above: {
    default: 50,
    minimum: 1,
    maximum: 1_000_000,
    help: "Recipients of a broadcast above which it must be confirmed.",
  },
  loop_slow_after: {
    default: 20,
    minimum: 1,
    maximum: 1_000_000,
    help: "Quick replies in a chain after which each is delayed.",
  },
  loop_hold_after: {
    default: 30,
    minimum: 1,
    maximum: 1_000_000,
    help: "Quick replies in a chain after which each is held.",
  },
  loop_window_ms: {
    default: 5 * minute_ms,
    minimum: 1,
    maximum: 30 * day_ms,
    help: "How soon a reply must come to count as quick.",
  },
  retention_ms: {
    default: 0,
    minimum: 0,
    maximum: 100 * 365 * day_ms,
    help: "Age at which finished messages are forgotten; 0: never.",
  },
  alive_ms: { default: 15_000, minimum: 100, maximum: day_ms, help: "Silence after which an agent is suspect." },
  dead_ms: {
    default: 60_000,
    minimum: 100,
    maximum: 30 * day_ms,
    help: "Silence after which an agent counts as gone.",
  },
  stop_ms: {
    default: 8_000,
    minimum: 0,
    maximum: 600_000,
    help: "How long a stopping server waits for what is under way.",
  },
  log_level: {
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "silent"],
    help: "Least level that is logged.",
  },
} as const satisfies Record<string, Setting>;

export type Setting =
  | TextSetting
  | { readonly default: boolean; readonly help: string }
  | { readonly default: number; readonly minimum: number; readonly maximum: number; readonly help: string };

export type TextSetting = {
  readonly default: string;
  readonly choices?: readonly string[];
  /** What the text stands for, where it is more than text. */
  readonly is?: "text" | "path" | "hosts" | "origins";
  readonly help: string;
};

export type SettingName = keyof typeof settings;
