// Text of a server in source code: nothing in it may end a comment or a string, hide, or be read as an instruction.

/** What shows nothing, or shows in another order than it stands. The joiner of emoji may stay. */
const HIDDEN = /(?!\u200d)[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** A string literal. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(HIDDEN, (char) =>
    Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""));
}

/** Text inside a block comment. */
export function harmless(text: string): string {
  return text
    .replace(/\r\n?|\u2028|\u2029/g, "\n")
    .replace(/\t/g, "  ")
    .replace(HIDDEN, (char) => (char === "\n" ? char : `\\u{${(char.codePointAt(0) as number).toString(16)}}`))
    .replaceAll("*/", "*\\/")
    // Tags of JSDoc and of the compiler are its own author's to write.
    .replace(/(^|\n)([\s/*]*)@/g, "$1$2\\@")
    .replaceAll("{@", "{\\@");
}

/** A comment on the same line. */
export const aside = (text: string): string => `/* ${harmless(text).replaceAll("\n", " ")} */`;

/** A documentation comment and its line break, or nothing. `tags` are ours. */
export function jsdoc(lines: string[], tags: string[] = []): string {
  const all = [...lines.flatMap((line) => harmless(line).trim().split("\n")), ...tags].map((line) => line.trimEnd());
  if (all.length === 0) return "";
  if (all.length === 1) return `/** ${all[0]} */\n`;
  return `/**\n${all.map((line) => (line === "" ? " *" : ` * ${line}`)).join("\n")}\n */\n`;
}

/** The name of a member of an object or of a type. */
export function member(name: string): string {
  const plain = /^[A-Za-z_$][\w$]*$/.test(name) && !["get", "new", "readonly", "set"].includes(name);
  return plain ? name : quote(name);
}

/** `get-sum` as `GetSum`: the beginning of a type's name. */
export function pascal(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("");
  return joined === "" || /^\d/.test(joined) ? `Tool${joined}` : joined;
}

/** Gives each name once; the second `A` is `A2`. */
export class Names {
  readonly #taken: Set<string>;

  constructor(taken: Iterable<string>) {
    this.#taken = new Set(taken);
  }

  claim(wanted: string): string {
    let name = wanted;
    for (let number = 2; this.#taken.has(name); number += 1) name = `${wanted}${number}`;
    this.#taken.add(name);
    return name;
  }
}

export const indent = (text: string): string => text.replaceAll("\n", "\n  ");
