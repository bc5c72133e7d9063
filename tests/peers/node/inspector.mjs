// MCP Inspector's command line: one process per request, as a person debugging a server would run it.
// It has no cancel; progress is shown by the libraries' own scripts.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { check, fill, finish, parseArguments, test, textOf } from './cases.mjs';

const options = parseArguments();
const { profile } = options;
const program = fileURLToPath(new URL('./node_modules/.bin/mcp-inspector', import.meta.url));
const UNICODE = 'grüße, 世界 👩‍👩‍👧 "quoted" \\';

function inspect(...request) {
  const target = options.transport === 'http' ? ['--server-url', options.url, '--transport', 'http'] : [];
  const command = options.transport === 'stdio' ? ['--', options.command, ...options.args] : [];
  const words = [program, '--cli', ...target, '--protocol-era', options.era, '--connect-timeout', '50000', '--format', 'json', '--quiet', ...request, ...command];
  return new Promise((resolve) => {
    execFile(process.execPath, words, { timeout: 55_000, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr });
    });
  });
}

function result({ code, stdout, stderr }) {
  check(stdout.trim(), `exit ${code}, nothing on stdout; stderr: ${stderr}`);
  const parsed = JSON.parse(stdout);
  return parsed.result ?? parsed;
}

const call = (tool, input) =>
  inspect('--method', 'tools/call', '--tool-name', tool, '--tool-args-json', JSON.stringify(input));

check(existsSync(program), `${program} is not installed`);

await test('list tools', async () => {
  const { tools } = result(await inspect('--method', 'tools/list'));
  check(tools.some((tool) => tool.name === profile.echo.tool), `${profile.echo.tool} is not listed`);
  return `${tools.length} tools`;
});
for (const text of ['hello', UNICODE]) {
  await test(text === UNICODE ? 'call with unicode' : 'call', async () => {
    const answer = result(await call(profile.echo.tool, fill(profile.echo.arguments, text)));
    const expected = fill(profile.echo.expect, text);
    check(!answer.isError && textOf(answer) === expected, `expected ${expected}, got ${JSON.stringify(answer)}`);
  });
}
await test('unknown tool', async () => {
  const answer = await call('no_such_tool', {});
  check(answer.code !== 0, `exit 0 for an unknown tool: ${answer.stdout}`);
});
await test('wrong arguments', async () => {
  const answer = await call(profile.wrong_arguments.tool, profile.wrong_arguments.arguments);
  check(answer.code !== 0, `exit 0 for wrong arguments: ${answer.stdout}`);
});
if (profile.progress) {
  await test('call a tool that reports progress', async () => {
    const answer = result(await call(profile.progress.tool, profile.progress.arguments));
    check(!answer.isError, `the tool reports an error: ${JSON.stringify(answer)}`);
  });
}
finish();
