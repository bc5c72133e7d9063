// JSON Schema as types. A type allows at least what the schema allows: what it cannot say is left out or is `unknown`.
import { Document, isNode, lastName, schemaIn, schemasByName, schemasIn, Unusable, type Node, type Schema } from "./document.js";
import { notes, tags } from "./notes.js";
import { aside, indent, jsdoc, member, pascal, quote, type Names } from "./text.js";

const KINDS = ["object", "array", "string", "number", "boolean", "null"] as const;
type Kind = (typeof KINDS)[number];

/** Values of an `enum` that a type lists; more are the type of their kind. */
const MAX_VALUES = 1000;

interface Type { text: string; is: "atom" | "union" | "intersection" }
const atom = (text: string): Type => ({ text, is: "atom" });
const unknown = (why: string): Type => atom(`unknown ${aside(why)}`);
const isUnknown = (type: Type): boolean => type.text === "unknown" || type.text.startsWith("unknown /*");
const NEVER = atom("never");

/** The declarations of a schema, the first of them for `name`. */
export function declarations(schema: unknown, name: string, names: Names): string[] {
  try {
    return new Types(new Document(schema), name, names).all();
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    return [`${jsdoc([`The schema cannot be used: ${error.message}.`])}export type ${name} = unknown;\n`];
  }
}

/** Where a schema stands: in the type of which place, and whether no object or array is in between. */
interface Place { named: string; direct: boolean }

class Types {
  readonly #document: Document;
  readonly #base: string;
  readonly #names: Names;
  readonly #named: Map<string, string>;

  constructor(document: Document, base: string, names: Names) {
    this.#document = document;
    this.#base = base;
    this.#names = names;
    this.#named = new Map([["", base]]);
  }

  all(): string[] {
    const made: string[] = [];
    // References found on the way are added to the map, and come up in this loop.
    for (const [pointer, name] of this.#named) {
      const schema = this.#document.at(pointer);
      const type = this.#type(schema, [...KINDS], { named: pointer, direct: true });
      made.push(`${jsdoc(notes(schema), tags(schema))}export type ${name} = ${type.text};\n`);
    }
    return made;
  }

  #type(schema: Schema, kinds: Kind[], place: Place): Type {
    if (schema === true) return union(kinds.map(free));
    if (schema === false) return NEVER;
    const type = this.#ofNode(schema, kinds, place);
    // OpenAPI's word.
    return schema["nullable"] === true ? union([type, atom("null")]) : type;
  }

  #ofNode(schema: Node, kinds: Kind[], place: Place): Type {
    const parts: Type[] = [];
    if (schema["$ref"] !== undefined) {
      const target = this.#reference(schema["$ref"], place);
      if (this.#document.referenceAlone) return target;
      parts.push(target);
    }
    if (schema["$dynamicRef"] !== undefined || schema["$recursiveRef"] !== undefined) parts.push(unknown("a dynamic reference"));
    const own = kindsOf(schema).filter((kind) => kinds.includes(kind));
    if (own.length === 0) return NEVER;
    for (const keyword of ["anyOf", "oneOf"]) {
      const some = schemasIn(schema, keyword);
      if (some !== undefined) parts.push(union(some.map((part) => this.#type(part, own, place))));
    }
    for (const part of schemasIn(schema, "allOf") ?? []) parts.push(this.#type(part, own, place));
    const values = valuesOf(schema);
    const inner = { ...place, direct: false };
    if (values !== undefined) parts.push(literals(values.filter((value) => own.includes(kindOf(value)))));
    else if (parts.length === 0 || isShaped(schema)) parts.push(union(own.map((kind) => this.#shape(schema, kind, inner))));
    return intersection(parts);
  }

  #reference(reference: unknown, place: Place): Type {
    const target = this.#document.place(reference);
    if (target === undefined) return unknown(`$ref ${reference} depends on an $id or is ambiguous`);
    if (place.direct && this.#document.isMadeOf(target, place.named)) return unknown(`$ref ${reference} refers to itself`);
    let name = this.#named.get(target);
    if (name === undefined) {
      name = this.#names.claim(this.#base + pascal(lastName(target)));
      this.#named.set(target, name);
    }
    return atom(name);
  }

  #shape(schema: Node, kind: Kind, place: Place): Type {
    if (kind === "object" && OBJECT.some((keyword) => schema[keyword] !== undefined)) return this.#object(schema, place);
    if (kind === "array" && ARRAY.some((keyword) => schema[keyword] !== undefined)) return this.#array(schema, place);
    return free(kind);
  }

  #object(schema: Node, place: Place): Type {
    const properties = schemasByName(schema, "properties");
    const patterns = schemasByName(schema, "patternProperties");
    const others = schema["additionalProperties"] === undefined ? undefined : schemaIn(schema["additionalProperties"], "additionalProperties");
    const required = requiredOf(schema);
    const described = properties.size > 0;
    for (const name of required) {
      if (!properties.has(name)) properties.set(name, patterns.size > 0 ? true : others ?? true);
    }
    const every = (part: Schema): Type => this.#type(part, [...KINDS], place);
    const lines = [...properties].map(([name, part]) =>
      `${jsdoc(notes(part), tags(part))}${member(name)}${required.has(name) ? "" : "?"}: ${every(part).text};`);
    const rest = union([...patterns.values(), ...(others === false ? [] : [others ?? true])].map(every));
    if (patterns.size > 0 || (others !== undefined && others !== false) || (!described && others !== false) || properties.size === 0) {
      const names = patterns.size > 0 ? jsdoc([`Names: ${[...patterns.keys()].join(", ")}`]) : "";
      // Named members would have to be of the type of all others.
      const type = properties.size === 0 || isUnknown(rest) ? rest : unknown(`members without a name here: ${rest.text}`);
      lines.push(`${names}[name: string]: ${type.text};`);
    }
    if (lines.length === 1 && !lines[0]!.includes("\n")) return atom(`{ ${lines[0]!.slice(0, -1)} }`);
    return atom(`{${indent(`\n${lines.join("\n")}`)}\n}`);
  }

  #array(schema: Node, place: Place): Type {
    const old = Array.isArray(schema["items"]);
    const first = schemasIn(schema, old ? "items" : "prefixItems") ?? [];
    const rest = schema[old ? "additionalItems" : "items"];
    const every = (part: Schema): Type => this.#type(part, [...KINDS], place);
    const others = rest === undefined ? atom("unknown") : every(schemaIn(rest, old ? "additionalItems" : "items"));
    if (first.length === 0) return atom(`${grouped(others)}[]`);
    const least = count(schema, "minItems") ?? 0;
    const most = count(schema, "maxItems") ?? Infinity;
    const items = first.slice(0, most).map((part, at) => (at < least ? every(part).text : `${grouped(every(part))}?`));
    if (most > first.length && others.text !== "never") items.push(`...${grouped(others)}[]`);
    return atom(`[${items.join(", ")}]`);
  }
}

const OBJECT = ["properties", "patternProperties", "additionalProperties", "required"];
const ARRAY = ["items", "prefixItems"];
const isShaped = (schema: Node): boolean => [...OBJECT, ...ARRAY].some((keyword) => schema[keyword] !== undefined);

/** The type of a kind of which the schema says no more. */
function free(kind: Kind): Type {
  return atom(kind === "object" ? "{ [name: string]: unknown }" : kind === "array" ? "unknown[]" : kind);
}

function kindsOf(schema: Node): Kind[] {
  if (schema["type"] === undefined) return [...KINDS];
  const listed = [schema["type"]].flat().map((name) => (name === "integer" ? "number" : name));
  const odd = listed.find((name) => !KINDS.includes(name as Kind));
  if (odd !== undefined || listed.length === 0) throw new Unusable(`its type ${JSON.stringify(schema["type"])} is none`);
  return KINDS.filter((kind) => listed.includes(kind));
}

function kindOf(value: unknown): Kind {
  return value === null ? "null" : Array.isArray(value) ? "array" : (typeof value as Kind);
}

function valuesOf(schema: Node): unknown[] | undefined {
  if ("const" in schema) return [schema["const"]];
  const values = schema["enum"];
  if (values === undefined) return undefined;
  if (!Array.isArray(values)) throw new Unusable("enum is no list");
  return values;
}

function literals(values: unknown[]): Type {
  if (values.length > MAX_VALUES) return union([...new Set(values.map(kindOf))].map(free));
  return union(values.map(literal));
}

function literal(value: unknown): Type {
  if (typeof value === "string") return atom(quote(value));
  // Other numbers are not what the server wrote.
  if (typeof value === "number") return atom(Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value)) ? String(value) : "number");
  if (Array.isArray(value)) return atom(`[${value.map((item) => literal(item).text).join(", ")}]`);
  if (!isNode(value)) return atom(String(value));
  const members = Object.keys(value).sort().map((name) => `${member(name)}: ${literal(value[name]).text}`);
  return members.length === 0 ? atom("{ [name: string]: never }") : atom(`{ ${members.join("; ")} }`);
}

function requiredOf(schema: Node): Set<string> {
  const required = schema["required"] ?? [];
  // A boolean is draft-03's, which says it of the member itself.
  if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) throw new Unusable("required is no list of names");
  return new Set(required as string[]);
}

function count(schema: Node, keyword: string): number | undefined {
  const value = schema[keyword];
  if (value !== undefined && (typeof value !== "number" || !(value >= 0))) throw new Unusable(`${keyword} is no count`);
  return value;
}

function union(types: Type[]): Type {
  const parts = unique(types.filter((type) => type.text !== "never"));
  if (parts.length === KINDS.length && KINDS.every((kind) => parts.some((part) => part.text === free(kind).text))) return atom("unknown");
  const open = parts.find(isUnknown);
  if (open !== undefined) return open;
  if (parts.length <= 1) return parts[0] ?? NEVER;
  return { text: parts.map((part) => (part.is === "intersection" ? `(${part.text})` : part.text)).join(" | "), is: "union" };
}

function intersection(types: Type[]): Type {
  const all = unique(types);
  if (all.some((type) => type.text === "never")) return NEVER;
  const parts = all.filter((type) => !isUnknown(type));
  if (parts.length <= 1) return parts[0] ?? all[0] ?? atom("unknown");
  return { text: parts.map(grouped).join(" & "), is: "intersection" };
}

function unique(types: Type[]): Type[] {
  return [...new Map(types.map((type) => [type.text, type])).values()];
}

const grouped = (type: Type): string => (type.is === "atom" ? type.text : `(${type.text})`);
