#!/usr/bin/env node
// `npx @ferromcp/sdk gen`: a typed client of the tools of a server.
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { emit, MARK } from "./emit.js";
import { Failure, list } from "./list.js";

const HELP = `Writes a typed TypeScript client for the tools of a running FerroMCP server

Usage: npx @ferromcp/sdk gen [OPTIONS]

Options:
      --url <URL>          The server [env: FERROMCP_URL] [default: http://127.0.0.1:8080]
      --key <KEY>          Key or token of the tenant whose tools are wanted. Others on this machine can see it
                           while the command runs: prefer the variable [env: FERROMCP_TENANT_KEY]
      --out <FILE>         File to write; - is standard output [default: ferromcp-tools.ts]
      --check              Write nothing; exit with 1 if the file is not what would be written
      --timeout <SECONDS>  Longest time for each page of the list, and for servers that are starting [default: 30]
  -h, --help               Print help
      --version            Print the version

A tool that is gone or takes other arguments then no longer compiles where it is used. In CI:

    npx @ferromcp/sdk gen --url https://mcp.example.com --out src/tools.ts --check

Exit codes: 0 done, or nothing has changed; 1 the file differs (--check); 2 anything else.
`;

const OPTIONS = {
  url: { type: "string" },
  key: { type: "string" },
  out: { type: "string", default: "ferromcp-tools.ts" },
  check: { type: "boolean", default: false },
  timeout: { type: "string", default: "30" },
  help: { type: "boolean", short: "h", default: false },
  version: { type: "boolean", default: false },
} as const;

function read() {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : error}. npx @ferromcp/sdk gen --help shows all options`);
  }
}

async function main(): Promise<number> {
  const { values, positionals } = read();
  if (values.version) {
    console.log(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version);
    return 0;
  }
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (positionals.length !== 1 || positionals[0] !== "gen") {
    const found = positionals.length === 0 ? "no command is given" : `unknown: ${positionals.filter((word) => word !== "gen").join(" ") || "gen, twice"}`;
    throw new Failure(`${found}. The command is gen: npx @ferromcp/sdk gen --help`);
  }
  const seconds = Number(values.timeout);
  if (!(seconds > 0)) throw new Failure(`--timeout ${values.timeout}: a number of seconds above 0`);
  if (values.check && values.out === "-") throw new Failure("--check compares with a file: give it with --out");
  const url = values.url ?? process.env["FERROMCP_URL"] ?? "http://127.0.0.1:8080";
  const { tools, down } = await list({ url, key: values.key ?? process.env["FERROMCP_TENANT_KEY"], timeoutMs: seconds * 1000 });
  if (down.length > 0) console.error(`warning: not ready, so tools may be missing: ${down.join(", ")}`);
  return deliver(emit(tools), tools.length, values.out, values.check);
}

function deliver(text: string, tools: number, out: string, check: boolean): number {
  if (out === "-") {
    process.stdout.write(text);
    return 0;
  }
  const before = contents(out);
  if (before === text) {
    console.error(`${out} is up to date: ${tools} tools`);
    return 0;
  }
  if (check) {
    console.error(before === undefined ? `${out} does not exist` : `${out} differs from the server's tools: ${difference(before, text)}`);
    console.error("Run the same without --check, and commit the file.");
    return 1;
  }
  if (before !== undefined && before !== "" && !before.startsWith(MARK)) {
    throw new Failure(`${out} was not made by this command; remove it, or give another file with --out`);
  }
  const fresh = `${out}.${process.pid}.new`;
  try {
    writeFileSync(fresh, text);
    renameSync(fresh, out);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw new Failure(`${out} cannot be written: ${error instanceof Error ? error.message : error}`);
  }
  console.error(`${out}: ${tools} tools`);
  return 0;
}

function contents(file: string): string | undefined {
  try {
    // Git may have changed the ends of lines.
    return readFileSync(file, "utf8").replaceAll("\r\n", "\n");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Failure(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** The first line that differs. */
function difference(before: string, after: string): string {
  const [old, now] = [before.split("\n"), after.split("\n")];
  const at = old.findIndex((line, number) => line !== now[number]);
  const show = (line: string | undefined): string => (line === undefined ? "nothing" : line.trim() === "" ? "an empty line" : line.trim());
  const number = at === -1 ? old.length : at;
  return `line ${number + 1}\n  in the file: ${show(old[number])}\n  now:         ${show(now[number])}`;
}

main().then(
  (code) => { process.exitCode = code },
  (error: unknown) => {
    console.error(`error: ${error instanceof Failure ? error.message : error instanceof Error ? error.stack : error}`);
    process.exitCode = 2;
  },
);
