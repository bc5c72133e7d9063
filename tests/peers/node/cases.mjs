// The cases that every client library runs, and how their outcome is told: one JSON line per case.
//
// Arguments of every script: PROFILES SERVER ERA http URL | PROFILES SERVER ERA stdio COMMAND [ARGUMENT...]
// SERVER picks an entry of PROFILES: which tools the server has, and what they answer. ERA is legacy or modern.

import { readFileSync } from 'node:fs';

// Only ends a hang; a busy machine takes its time.
const CASE_LIMIT_MS = 60_000;
export const MODERN = '2026-07-28';
const UNICODE = 'grüße, 世界 👩‍👩‍👧 "quoted" \\ \u2028 \t {"json":[1]}';

let failures = 0;

export function parseArguments(argv = process.argv.slice(2)) {
  const [profiles, server, era, transport, ...target] = argv;
  if (!target.length || !['http', 'stdio'].includes(transport) || !['legacy', 'modern'].includes(era)) {
    console.error('usage: PROFILES SERVER legacy|modern http URL | PROFILES SERVER legacy|modern stdio COMMAND [ARGUMENT...]');
    process.exit(2);
  }
  const profile = JSON.parse(readFileSync(profiles, 'utf8'))[server];
  if (!profile) throw new Error(`${profiles} has no server "${server}"`);
  return { profile, era, transport, url: target[0], command: target[0], args: target.slice(1) };
}

export async function test(name, body) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${CASE_LIMIT_MS} ms`)), CASE_LIMIT_MS);
  });
  try {
    const detail = await Promise.race([body(), late]);
    console.log(JSON.stringify({ name, ok: true, detail: detail ?? '' }));
  } catch (error) {
    failures += 1;
    console.log(JSON.stringify({ name, ok: false, detail: String(error?.stack ?? error) }));
  } finally {
    clearTimeout(timer);
  }
}

export function finish() {
  process.exit(failures ? 1 : 0);
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

export function fill(value, text) {
  if (typeof value === 'string') return value.replace('$TEXT', () => text);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, typeof inner === 'string' ? fill(inner, text) : inner]));
}

export function textOf(result) {
  return (result.content ?? []).filter((block) => block.type === 'text').map((block) => block.text).join('');
}

// `connect` gives { version, listTools(), callTool(name, arguments, options), close() }; options are the library's own
// `onprogress`, `signal` and `timeout`, which both generations of the TypeScript SDK share.
export async function runAll({ profile, era }, connect) {
  let client;
  await test('connect', async () => {
    client = await connect();
    const modern = client.version === MODERN;
    check(modern === (era === 'modern'), `asked for the ${era} era, negotiated ${client.version}`);
    return client.version;
  });
  if (!client) return finish();

  const echo = async (text) => {
    const result = await client.callTool(profile.echo.tool, fill(profile.echo.arguments, text));
    check(!result.isError, `the tool reports an error: ${textOf(result)}`);
    const expected = fill(profile.echo.expect, text);
    check(textOf(result) === expected, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(textOf(result))}`);
  };

  await test('list tools', async () => {
    const { tools } = await client.listTools();
    const tool = tools.find((candidate) => candidate.name === profile.echo.tool);
    check(tool, `${profile.echo.tool} is not among ${tools.map((candidate) => candidate.name).join(', ')}`);
    check(tool.inputSchema?.type === 'object', `its inputSchema is ${JSON.stringify(tool.inputSchema)}`);
    return `${tools.length} tools`;
  });
  await test('call', () => echo('hello'));
  await test('call with unicode', () => echo(UNICODE));
  await test('call with 60 kB', () => echo('x'.repeat(60_000)));
  await test('20 calls at once', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => echo(`parallel ${index}`)));
  });
  await test('unknown tool', async () => {
    const outcome = await client.callTool('no_such_tool', {}).then(
      (result) => (result.isError ? 'tool_error' : 'result'),
      (error) => (Number.isInteger(error.code) && error.code === -32602 ? 'protocol_error' : `error ${error.code}: ${error.message}`),
    );
    check(outcome === profile.unknown_tool, `expected ${profile.unknown_tool}, got ${outcome}`);
  });
  await test('wrong arguments', async () => {
    const { tool, arguments: wrong } = profile.wrong_arguments;
    const result = await client.callTool(tool, wrong);
    check(result.isError === true, `expected isError, got ${JSON.stringify(result)}`);
    check(textOf(result).length > 0, 'the error says nothing');
    return textOf(result);
  });
  await test('call after errors', () => echo('still here'));
  if (profile.progress) {
    await test('progress', async () => {
      const seen = [];
      const { tool, arguments: input, at_least } = profile.progress;
      const result = await client.callTool(tool, input, { onprogress: (progress) => seen.push(progress.progress) });
      check(!result.isError, `the tool reports an error: ${textOf(result)}`);
      check(seen.length >= at_least, `expected ${at_least} notifications or more, got ${JSON.stringify(seen)}`);
      check(seen.every((value, index) => index === 0 || value > seen[index - 1]), `not increasing: ${JSON.stringify(seen)}`);
      return JSON.stringify(seen);
    });
  }
  if (profile.slow) {
    await test('cancel', async () => {
      const abort = new AbortController();
      const { tool, arguments: input } = profile.slow;
      const call = client.callTool(tool, input, { signal: abort.signal }).then(
        (result) => `a result: ${JSON.stringify(result)}`,
        () => 'rejected',
      );
      // The library gives no sign that the request is out, and the tool is slow enough for any delay to hit it running.
      setTimeout(() => abort.abort('changed my mind'), 300);
      const outcome = await call;
      check(outcome === 'rejected', `the cancelled call gave ${outcome}`);
    });
    await test('call after cancel', () => echo('and still here'));
  }
  await test('close', () => client.close());
  finish();
}
