import type { BatchRequest } from "./types.js";

/**
 * Stands for the output of another call of the batch, or a part of it. It may be anywhere in a call's arguments.
 *
 * @category Batches
 */
export interface Reference {
  /** Id of the call. */
  $result: string;
  /** JSON Pointer (RFC 6901) into the output; text that is JSON can be led into too. Without it, all of the output. */
  pointer?: string;
}

/**
 * A call that was added to a {@link Batch}.
 *
 * @category Batches
 */
export interface BatchHandle {
  /** The given id, or the one that was made for it. */
  readonly id: string;
  /**
   * Makes its output an argument of another call.
   *
   * @param pointer JSON Pointer (RFC 6901) into the output; without it, all of the output.
   * @throws TypeError if the pointer is neither empty nor begins with `/`.
   */
  ref(pointer?: string): Reference;
}

/**
 * Makes a {@link Reference} by id, for requests that are not made by a {@link Batch}.
 *
 * @param id Id of the call.
 * @param pointer JSON Pointer (RFC 6901) into the output; without it, all of the output.
 * @throws TypeError if the pointer is neither empty nor begins with `/`.
 * @example
 * ```ts
 * import { reference } from "@ferromcp/sdk";
 *
 * console.log(JSON.stringify(reference("who", "/name")));
 * // prints: {"$result":"who","pointer":"/name"}
 * ```
 *
 * @category Batches
 */
export function reference(id: string, pointer?: string): Reference {
  if (pointer !== undefined && pointer !== "" && !pointer.startsWith("/")) {
    throw new TypeError(`a JSON Pointer is empty or begins with "/": ${pointer}`);
  }
  return pointer === undefined ? { $result: id } : { $result: id, pointer };
}

/**
 * Collects calls and names them. Give it to {@link FerroMcpClient.batchCall}.
 *
 * @example
 * ```ts
 * import { Batch, FerroMcpClient } from "@ferromcp/sdk";
 *
 * const client = new FerroMcpClient({ baseUrl: "http://127.0.0.1:8080" });
 * const batch = new Batch();
 * const who = batch.add("echo", { msg: '{"name":"Ada"}' });
 * batch.add("echo", { msg: who.ref("/name") }, { id: "name", timeoutMs: 1000 });
 * const { responses } = await client.batchCall(batch);
 * for (const response of responses) console.log(response.id, response.success && response.output);
 * // prints: call-1 {"name":"Ada"}
 * // prints: name Ada
 * ```
 *
 * @category Batches
 */
export class Batch {
  /** The calls as they were added. */
  readonly requests: BatchRequest[] = [];
  readonly #ids = new Set<string>();

  /**
   * Adds a call. Its answer has the same place among the responses.
   *
   * @param tool Name as listed.
   * @param args What the tool's `input_schema` asks for, with {@link Reference | references} in it.
   * @param options An id of your own, 1 to 128 bytes, and the server's deadline for this call, in milliseconds. Default: an id
   * `call-N`, and no deadline but the server's.
   * @throws TypeError if another call of the batch has the id.
   */
  add(tool: string, args?: unknown, options: Pick<BatchRequest, "id" | "timeoutMs"> = {}): BatchHandle {
    let id = options.id;
    if (id === undefined) {
      let number = this.requests.length + 1;
      while (this.#ids.has(`call-${number}`)) number += 1;
      id = `call-${number}`;
    } else if (this.#ids.has(id)) {
      throw new TypeError(`two calls of the batch have the id ${id}`);
    }
    this.#ids.add(id);
    const request: BatchRequest = { id, tool };
    if (args !== undefined) request.arguments = args;
    if (options.timeoutMs !== undefined) request.timeoutMs = options.timeoutMs;
    this.requests.push(request);
    const named = id;
    return { id, ref: (pointer) => reference(named, pointer) };
  }
}
