/**
 * One event of a stream (HTML standard, "Server-sent events").
 *
 * @category Streams
 */
export interface SseEvent {
  /** Its type; `message` if it has none. */
  event: string;
  /** Its data, with line feeds between its lines. */
  data: string;
  /** The last id that the stream gave, if it gave one. */
  id?: string;
}

/** Longest event, in UTF-16 units; a server that never ends one must not fill the memory. */
const LONGEST = 64 * 1024 * 1024;

/**
 * Turns bytes, cut anywhere, into events. An event without its blank line is not one. {@link FerroMcpClient.callToolStream} does this
 * itself; it is here for streams that you read yourself.
 *
 * @example
 * ```ts
 * import { SseParser } from "@ferromcp/sdk";
 *
 * const parser = new SseParser();
 * const bytes = new TextEncoder().encode("event: tick\ndata: 1\n\ndata: 2");
 * for (const { event, data } of parser.push(bytes)) console.log(event, data);
 * // prints: tick 1
 * ```
 *
 * @category Streams
 */
export class SseParser {
  readonly #decoder = new TextDecoder("utf-8");
  /** Pieces of the line that has not ended yet. */
  #pieces: string[] = [];
  #afterCr = false;
  #data: string[] = [];
  #event = "";
  #id: string | undefined;
  #held = 0;

  /**
   * The events that end in these bytes.
   *
   * @param bytes What comes next in the stream.
   * @throws RangeError if an event is longer than 64 MiB.
   */
  push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return events;
    // CR LF is one end of a line, also when cut in between.
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    if (text !== "") this.#afterCr = text.endsWith("\r");
    else this.#afterCr = false;
    let from = 0;
    for (const end of text.matchAll(/\r\n|\r|\n/g)) {
      this.#pieces.push(text.slice(from, end.index));
      from = end.index + end[0].length;
      const line = this.#pieces.join("");
      this.#pieces = [];
      this.#line(line, events);
    }
    this.#pieces.push(text.slice(from));
    this.#held += text.length;
    if (events.length > 0) this.#held = text.length - from;
    if (this.#held > LONGEST) throw new RangeError("an event of the stream is longer than 64 MiB");
    return events;
  }

  #line(line: string, events: SseEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        const event: SseEvent = { event: this.#event || "message", data: this.#data.join("\n") };
        if (this.#id !== undefined) event.id = this.#id;
        events.push(event);
      }
      this.#data = [];
      this.#event = "";
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}

/** The events of a body. Leaving the loop cancels the body. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<SseEvent, void, void> {
  const parser = new SseParser();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
