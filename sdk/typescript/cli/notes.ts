// What a schema says that a type does not, as lines of documentation.
import { isNode, type Node, type Schema } from "./document.js";

const BOUNDS = [
  "format", "pattern", "minLength", "maxLength", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minItems",
  "maxItems", "uniqueItems", "minProperties", "maxProperties", "contentEncoding", "contentMediaType", "default",
];
const BEYOND = [
  "not", "if", "then", "else", "contains", "minContains", "maxContains", "propertyNames", "dependentRequired", "dependentSchemas",
  "dependencies", "unevaluatedProperties", "unevaluatedItems",
];
/** Characters of a value that is shown. */
const SHOWN = 200;

export function notes(schema: Schema): string[] {
  if (!isNode(schema)) return [];
  const lines: string[] = [];
  const text = schema["description"] ?? schema["title"];
  if (typeof text === "string" && text.trim() !== "") lines.push(text);
  const own = bounds(schema);
  if (own !== "") lines.push(`Bounds: ${own}.`);
  const each = isNode(schema["items"]) ? bounds(schema["items"]) : "";
  if (each !== "") lines.push(`Each: ${each}.`);
  for (const keyword of ["allOf", "anyOf", "oneOf"]) {
    const parts = schema[keyword];
    for (const part of Array.isArray(parts) ? parts : []) {
      const some = isNode(part) ? bounds(part) : "";
      if (some !== "") lines.push(`${keyword === "allOf" ? "Also" : "Or"}: ${some}.`);
    }
  }
  const beyond = BEYOND.filter((keyword) => schema[keyword] !== undefined);
  if (beyond.length > 0) lines.push(`The schema says more than the type, in ${beyond.join(", ")}.`);
  return lines;
}

export const tags = (schema: Schema): string[] => (isNode(schema) && schema["deprecated"] === true ? ["@deprecated"] : []);

function bounds(schema: Node): string {
  const whole = [schema["type"]].flat().includes("integer") ? ["integer"] : [];
  const others = BOUNDS.filter((keyword) => schema[keyword] !== undefined && schema[keyword] !== false || keyword === "default" && schema[keyword] === false);
  return [...whole, ...others.map((keyword) => `${keyword} ${shown(schema[keyword])}`)].join(", ");
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}
