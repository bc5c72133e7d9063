import { ConnectionError, FerroMcpError, ProtocolError } from "./errors.js";

/**
 * How often, and after which waits, a request is made again. A call that did not run is (`rate_limited`, `quota_exceeded` with a time,
 * `unavailable`); one that may have run only with `idempotent`, as are listings. Waits have jitter, and are never shorter than the server asks for.
 *
 * @category Options
 */
export interface RetryOptions {
  /** Attempts in all, a whole number of at least 1. Default 3. */
  attempts?: number;
  /** First wait, in milliseconds, at least 0; doubles with every attempt. Default 200. */
  baseDelayMs?: number;
  /** Longest wait, in milliseconds, at least 0. If the server asks for a longer one, there is no retry. Default 10,000. */
  maxDelayMs?: number;
}

export type Retry = Required<RetryOptions>;

export function retryOf(options: RetryOptions | false | undefined): Retry {
  if (options === false) return { attempts: 1, baseDelayMs: 0, maxDelayMs: 0 };
  const retry = { attempts: 3, baseDelayMs: 200, maxDelayMs: 10_000, ...options };
  if (!Number.isInteger(retry.attempts) || retry.attempts < 1) throw new TypeError("retry.attempts: a whole number from 1");
  if (!(retry.baseDelayMs >= 0)) throw new TypeError("retry.baseDelayMs: a number from 0");
  if (!(retry.maxDelayMs >= 0)) throw new TypeError("retry.maxDelayMs: a number from 0");
  return retry;
}

const PASSING = new Set(["rate_limited", "quota_exceeded", "unavailable"]);
const WORTH_IT = new Set([...PASSING, "timeout", "upstream_error", "internal"]);

/** How long to wait before attempt `attempt + 1`, or undefined: the error stands. */
export function delayAfter(error: unknown, attempt: number, retry: Retry, idempotent: boolean): number | undefined {
  if (!(error instanceof FerroMcpError) || attempt >= retry.attempts) return undefined;
  const proxy = error instanceof ProtocolError && [502, 503, 504].includes(error.status ?? 0);
  const again = idempotent
    ? error instanceof ConnectionError || proxy || WORTH_IT.has(error.code)
    : PASSING.has(error.code) && !error.mayHaveRun;
  // A batch over the quota's size stays so: what passes with time says when.
  if (!again || (error.code === "quota_exceeded" && error.retryAfterMs === undefined)) return undefined;
  const backoff = Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** (attempt - 1));
  const asked = error.retryAfterMs ?? 0;
  if (asked > retry.maxDelayMs) return undefined;
  // Never earlier than asked for; the jitter is on top, so that clients do not come back all at once.
  return asked > 0 ? asked + Math.random() * Math.min(backoff, asked) : backoff * (0.5 + Math.random() / 2);
}

export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => { clearTimeout(timer); reject(signal.reason) };
    const timer = setTimeout(() => { signal.removeEventListener("abort", stop); resolve() }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
