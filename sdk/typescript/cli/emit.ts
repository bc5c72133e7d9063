// The file that is made: the types of all tools, and functions that call them.
import type { Tool } from "@ferromcp/sdk";
import { isNode } from "./document.js";
import { declarations } from "./types.js";
import { indent, jsdoc, member, Names, pascal, quote } from "./text.js";

/** Begins every file that is made; nothing else is written over. */
export const MARK = "// Made by `npx @ferromcp/sdk gen`. Changes made here are lost.\n";

const IMPORTED = ["CallOptions", "CallResult", "FerroMcpClient", "RequestOptions", "StreamEvent"];
const OWN = ["AsyncGenerator", "Promise", "ToolName", "Tools"];

interface Entry { name: string; docs: string; args: string; mark: "" | "?"; output: string; declared: string }

/** The same tools give the same text, in whatever order they, and the members of their schemas, come. */
export function emit(tools: Tool[]): string {
  const names = new Names([...IMPORTED, ...OWN]);
  const sorted = [...tools].sort((a, b) => (a.name < b.name ? -1 : 1));
  const entries = sorted.map((tool) => entry(tool, names));
  return `${MARK}/* eslint-disable */
import type { ${IMPORTED.join(", ")} } from "@ferromcp/sdk";

/** Arguments and output of each tool. */
export interface Tools {${indent(`\n${entries.map(types).join("\n")}`)}
}

export type ToolName = keyof Tools;

/** A function for each tool. */
export function tools(client: FerroMcpClient) {
  return {${indent(indent(`\n${entries.map(call).join("\n")}`))}
  };
}

/** Calls a tool and yields what it says on the way; the last event is the result. */
export function stream<N extends ToolName>(
  client: FerroMcpClient, tool: N, args: Tools[N]["arguments"], options?: RequestOptions,
): AsyncGenerator<StreamEvent<Tools[N]["output"]>, void, void> {
  return client.callToolStream<Tools[N]["output"]>(tool, args, options);
}

${entries.map((made) => made.declared).join("\n")}`;
}

function entry(tool: Tool, names: Names): Entry {
  const args = names.claim(`${pascal(tool.name)}Arguments`);
  const declared = declarations(tool.input_schema, args, names);
  let output = "unknown";
  if (tool.output_schema !== undefined) {
    output = names.claim(`${pascal(tool.name)}Output`);
    declared.push(...declarations(tool.output_schema, output, names));
  }
  const text = [tool.title, tool.description].filter((part) => typeof part === "string" && part.trim() !== "");
  const mark = mayBeEmpty(tool.input_schema) ? "?" : "";
  return { name: tool.name, docs: jsdoc(text as string[]), args, mark, output, declared: declared.join("\n") };
}

const types = ({ name, docs, args, output }: Entry): string => `${docs}${member(name)}: { arguments: ${args}; output: ${output} };`;

function call({ name, docs, args, mark, output }: Entry): string {
  // As a plain name it would be the prototype of the object.
  const key = name === "__proto__" ? '["__proto__"]' : member(name);
  const head = `${key}: (args${mark}: ${args}, options?: CallOptions): Promise<CallResult<${output}>> =>`;
  return `${docs}${head}\n  client.callTool<${output}>(${quote(name)}, args, options),`;
}

/** Whether it is plain that the tool takes no arguments as well. */
function mayBeEmpty(schema: unknown): boolean {
  if (!isNode(schema)) return false;
  const combined = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "enum", "const", "not", "if", "minProperties"];
  const required = schema["required"];
  return (required === undefined || (Array.isArray(required) && required.length === 0)) && !combined.some((keyword) => keyword in schema);
}
