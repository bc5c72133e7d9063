import type { BatchRequest } from "./types.js";

/** Stands for the output of another call of the batch, or the part at `pointer` (RFC 6901). */
export interface Reference { $result: string; pointer?: string }

/** A call that was added; `ref` makes its output an argument of another. */
export interface BatchHandle { readonly id: string; ref(pointer?: string): Reference }

export function reference(id: string, pointer?: string): Reference {
  if (pointer !== undefined && pointer !== "" && !pointer.startsWith("/")) {
    throw new TypeError(`a JSON Pointer is empty or begins with "/": ${pointer}`);
  }
  return pointer === undefined ? { $result: id } : { $result: id, pointer };
}

/** Collects calls and names them. Give it to `batchCall`. */
export class Batch {
  readonly requests: BatchRequest[] = [];
  readonly #ids = new Set<string>();

  add(tool: string, args?: unknown, options: { id?: string; timeoutMs?: number } = {}): BatchHandle {
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
