import { connectionError, FerroMcpError, protocolError, TimeoutError, toError, type Origin, type WireError } from "./errors.js";
import { delayAfter, retryOf, sleep, type Retry, type RetryOptions } from "./retry.js";
import type { RequestOptions } from "./types.js";

/**
 * Gives the key or token of one attempt, in visible ASCII characters. What it throws ends the request.
 *
 * @category Options
 */
export type TokenProvider = () => string | Promise<string>;

/**
 * What a client is made of.
 *
 * @category Options
 */
export interface ClientOptions {
  /** Address of the server, http or https, as in `http://127.0.0.1:8080`; may have a path, but no user name, query or fragment. */
  baseUrl: string | URL;
  /** Key or token of a tenant, or what gives one: it is asked before every attempt. */
  apiKey?: string | TokenProvider;
  /** Longest time of a request with its retries, in milliseconds, above 0. Default: none but the server's. */
  timeoutMs?: number;
  /** How requests are made again; false: never. Default: 3 attempts. */
  retry?: RetryOptions | false;
  /** A `fetch` of your own, as for a proxy or a test. Default: that of the platform. */
  fetch?: typeof globalThis.fetch;
  /** Ends everything that this client does. */
  signal?: AbortSignal;
}

export interface Ask { method: "GET" | "POST"; path: string; body?: unknown; headers?: Record<string, string>; idempotent: boolean }

/** Sends requests: address, credential, time limit, retries. */
export class Http {
  readonly #base: string;
  readonly #key: string | TokenProvider | undefined;
  readonly #timeoutMs: number | undefined;
  readonly #retry: Retry;
  readonly #fetch: typeof globalThis.fetch;
  readonly #signal: AbortSignal | undefined;

  constructor(options: ClientOptions) {
    const url = new URL(options.baseUrl);
    if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError(`baseUrl: ${url.protocol} is not http or https`);
    if (url.username !== "" || url.password !== "") throw new TypeError("baseUrl: no user name or password; use apiKey");
    if (url.search !== "" || url.hash !== "") throw new TypeError("baseUrl: no query and no fragment");
    this.#base = url.href.replace(/\/+$/, "");
    this.#key = options.apiKey;
    this.#timeoutMs = options.timeoutMs;
    this.#retry = retryOf(options.retry);
    // Browsers want `fetch` to be called without an object.
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#signal = options.signal;
  }

  /** One answer with JSON in it. */
  json(ask: Ask, options: RequestOptions): Promise<unknown> {
    return this.#within(options, async (signal) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#once(ask, signal);
        } catch (error) {
          signal.throwIfAborted();
          const delay = delayAfter(error, attempt, this.#retry, ask.idempotent);
          if (delay === undefined) throw error;
          await sleep(delay, signal);
        }
      }
    });
  }

  /** The answer as it comes in, sent once. `use` ends before the time limit is taken away. */
  async *stream<T>(ask: Ask, options: RequestOptions, use: (response: Response) => AsyncIterable<T>): AsyncGenerator<T, void, void> {
    const limit = this.#limit(options);
    try {
      yield* use(await this.#send(ask, limit.signal));
    } catch (error) {
      limit.signal.throwIfAborted();
      throw error;
    } finally {
      limit.end();
    }
  }

  async #within<T>(options: RequestOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = this.#limit(options);
    try {
      return await work(limit.signal);
    } finally {
      limit.end();
    }
  }

  #limit(options: RequestOptions): { signal: AbortSignal; end(): void } {
    const controller = new AbortController();
    const ends: (() => void)[] = [];
    for (const signal of [this.#signal, options.signal]) {
      if (signal === undefined) continue;
      const stop = () => controller.abort(signal.reason);
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
      ends.push(() => signal.removeEventListener("abort", stop));
    }
    const ms = options.timeoutMs ?? this.#timeoutMs;
    if (ms !== undefined) {
      if (!(ms > 0)) throw new TypeError("timeoutMs: a number above 0");
      const details = { may_have_run: true };
      const late = () => controller.abort(new TimeoutError({ code: "timeout", message: `no answer within ${ms} ms`, details }));
      // Above it, timers fire at once.
      const timer = setTimeout(late, Math.min(ms, 2 ** 31 - 1));
      ends.push(() => clearTimeout(timer));
    }
    return { signal: controller.signal, end: () => ends.forEach((end) => end()) };
  }

  async #send(ask: Ask, signal: AbortSignal): Promise<Response> {
    signal.throwIfAborted();
    const headers: Record<string, string> = { accept: "application/json", ...ask.headers };
    const key = typeof this.#key === "function" ? await this.#key() : this.#key;
    if (key !== undefined) headers["authorization"] = bearer(key);
    const init: RequestInit = { method: ask.method, headers, signal, redirect: "error" };
    if (ask.body !== undefined) {
      headers["content-type"] = "application/json";
      init.body = JSON.stringify(ask.body);
    }
    try {
      return await this.#fetch(this.#base + ask.path, init);
    } catch (error) {
      signal.throwIfAborted();
      throw connectionError(`${this.#base} cannot be reached: ${reason(error)}`, error);
    }
  }

  async #once(ask: Ask, signal: AbortSignal): Promise<unknown> {
    const response = await this.#send(ask, signal);
    return read(response, signal);
  }
}

/** The JSON of an answer, or the error that it is. */
export async function read(response: Response, signal?: AbortSignal): Promise<unknown> {
  let text: string;
  try {
    text = await textOf(response);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof FerroMcpError) throw error;
    throw connectionError(`the answer broke off: ${reason(error)}`, error);
  }
  const origin = originOf(response);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw protocolError(`status ${response.status}, and no JSON: ${text.slice(0, 200)}`, origin, error);
  }
  if (isObject(value) && value["success"] === false) throw failure(value, origin);
  if (!response.ok && !isObject(value)) throw protocolError(`status ${response.status}: ${text.slice(0, 200)}`, origin);
  return value;
}

/** Largest answer, in bytes, unpacked: a server that never ends one must not fill the memory. */
const LARGEST = 256 * 1024 * 1024;

async function textOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for (let size = 0; reader !== undefined; ) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size > LARGEST) {
      reader.cancel().catch(() => undefined);
      throw protocolError(`the answer is larger than ${LARGEST} bytes`, originOf(response));
    }
    parts.push(decoder.decode(value, { stream: true }));
  }
  parts.push(decoder.decode());
  return parts.join("");
}

/** The value of `authorization`. What no header can have is not shown: errors are logged. */
function bearer(key: string): string {
  if (!/^[!-~]+$/.test(key)) throw new TypeError("apiKey: visible ASCII characters only");
  return `Bearer ${key}`;
}

/** The error of `{"success": false, ...}`. */
export function failure(value: Record<string, unknown>, origin: Origin = {}): Error {
  const error = value["error"];
  if (!isObject(error) || typeof error["code"] !== "string" || typeof error["message"] !== "string") {
    return protocolError("a failure without code and message; is this FerroMCP?", origin);
  }
  const from: Origin = { ...origin, output: value["output"] };
  if (typeof value["request_id"] === "string") from.requestId = value["request_id"];
  if (Array.isArray(value["content"])) from.content = value["content"];
  return toError(error as unknown as WireError, from);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function originOf(response: Response): Origin {
  const origin: Origin = { status: response.status };
  const after = retryAfter(response.headers.get("retry-after"));
  if (after !== undefined) origin.retryAfterMs = after;
  return origin;
}

/** `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), in milliseconds. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message ? error.cause.message : error.message;
}
