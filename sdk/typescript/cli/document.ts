// A JSON Schema as a document: what is in it, and what its references mean.

export type Node = Record<string, unknown>;
export type Schema = boolean | Node;

/** The schema as a whole says nothing that can be relied on: the server does not check by it either. */
export class Unusable extends Error {}

/** Levels of a schema; the server takes no deeper ones. */
export const MAX_DEPTH = 100;

const DIALECT = /^https?:\/\/json-schema\.org\/(draft-0[467]|draft\/20(19-09|20-12))\/schema#?$/;

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The schema in `value`, which stands in `where`. */
export function schemaIn(value: unknown, where: string): Schema {
  if (typeof value !== "boolean" && !isNode(value)) throw new Unusable(`${where} is no schema`);
  return value;
}

/** The schemas in a keyword that holds a list of them. */
export function schemasIn(node: Node, keyword: string): Schema[] | undefined {
  const list = node[keyword];
  if (list === undefined) return undefined;
  if (!Array.isArray(list) || list.length === 0) throw new Unusable(`${keyword} is no list of schemas`);
  return list.map((item) => schemaIn(item, keyword));
}

/** The schemas in a keyword that holds them by name, ordered by name. */
export function schemasByName(node: Node, keyword: string): Map<string, Schema> {
  const value = node[keyword];
  if (value === undefined) return new Map();
  if (!isNode(value)) throw new Unusable(`${keyword} is no object`);
  return new Map(Object.keys(value).sort().map((name) => [name, schemaIn(value[name], keyword)]));
}

export class Document {
  readonly root: Schema;
  /** In draft-07 and before, a reference overrides what stands beside it. */
  readonly referenceAlone: boolean;
  readonly #base: string | undefined;
  readonly #anchors = new Map<string, string[]>();
  #moved = false;

  constructor(root: unknown) {
    this.root = schemaIn(root, "it");
    const dialect = isNode(this.root) ? this.root["$schema"] : undefined;
    if (dialect !== undefined && (typeof dialect !== "string" || !DIALECT.test(dialect))) throw new Unusable(`its dialect is unknown: ${dialect}`);
    this.referenceAlone = typeof dialect === "string" && dialect.includes("/draft-0");
    const id = isNode(this.root) ? this.root["$id"] ?? this.root["id"] : undefined;
    this.#base = typeof id === "string" ? id.replace(/#$/, "") : undefined;
    this.#look(this.root, [], 0);
  }

  /** The place that a reference names, as a JSON Pointer; undefined: it cannot be told from here. */
  place(reference: unknown): string | undefined {
    if (typeof reference !== "string") throw new Unusable("a $ref is no text");
    // Below an `$id` of their own, references mean other places.
    if (this.#moved) return undefined;
    const inside = this.#base !== undefined && reference.startsWith(this.#base) ? reference.slice(this.#base.length) : reference;
    if (inside !== "" && !inside.startsWith("#")) throw new Unusable(`it refers to ${reference}, which is not in it`);
    const fragment = decoded(inside.slice(1), reference);
    if (fragment === "") return "";
    if (fragment.startsWith("/")) {
      this.at(fragment);
      return fragment;
    }
    const places = this.#anchors.get(fragment) ?? [];
    if (places.length === 0) throw new Unusable(`it refers to ${reference}, which is not in it`);
    return places.length === 1 ? places[0] : undefined;
  }

  at(pointer: string): Schema {
    let value: unknown = this.root;
    for (const name of segments(pointer)) {
      const inside = isNode(value) ? Object.hasOwn(value, name) : Array.isArray(value) && /^\d+$/.test(name) && Number(name) < value.length;
      if (!inside) throw new Unusable(`it refers to #${pointer}, which is not in it`);
      value = (value as Node)[name];
    }
    return schemaIn(value, `#${pointer}`);
  }

  /** Whether the type of `from` is, without an object or array in between, made of that of `to`. */
  isMadeOf(from: string, to: string): boolean {
    const seen = new Set<string>();
    const open = [from];
    for (let pointer = open.pop(); pointer !== undefined; pointer = open.pop()) {
      if (pointer === to) return true;
      if (seen.has(pointer)) continue;
      seen.add(pointer);
      open.push(...this.#parts(this.at(pointer), 0));
    }
    return false;
  }

  #parts(schema: Schema, depth: number): string[] {
    if (!isNode(schema) || depth > MAX_DEPTH) return [];
    const place = schema["$ref"] === undefined ? undefined : this.place(schema["$ref"]);
    const inline = ["allOf", "anyOf", "oneOf"].flatMap((keyword) => schemasIn(schema, keyword) ?? []);
    return [...(place === undefined ? [] : [place]), ...inline.flatMap((part) => this.#parts(part, depth + 1))];
  }

  #look(value: unknown, path: string[], depth: number): void {
    if (depth > MAX_DEPTH) throw new Unusable(`it has more than ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) return value.forEach((item, at) => this.#look(item, [...path, String(at)], depth + 1));
    if (!isNode(value)) return;
    const id = value["$id"] ?? value["id"];
    if (path.length > 0 && typeof id === "string" && !id.startsWith("#")) this.#moved = true;
    const anchors = [value["$anchor"], value["$dynamicAnchor"], typeof id === "string" && id.startsWith("#") ? id.slice(1) : undefined];
    for (const anchor of new Set(anchors)) {
      if (typeof anchor !== "string" || anchor === "") continue;
      const pointer = path.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
      this.#anchors.set(anchor, [...(this.#anchors.get(anchor) ?? []), pointer]);
    }
    for (const [name, item] of Object.entries(value)) this.#look(item, [...path, name], depth + 1);
  }
}

/** The last name of a pointer. */
export const lastName = (pointer: string): string => segments(pointer).at(-1) ?? "";

function segments(pointer: string): string[] {
  return pointer.split("/").slice(1).map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function decoded(fragment: string, reference: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    throw new Unusable(`it refers to ${reference}, which is no address`);
  }
}
