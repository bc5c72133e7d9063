// Clients over TLS. Arguments: BASE KEY CERTIFICATE KEY_FILE; the authority is in NODE_EXTRA_CA_CERTS. Prints what each got.

import { readFileSync } from 'node:fs';
import https from 'node:https';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';

const MODERN = '2026-07-28';

const [base, key, certificate, keyFile] = process.argv.slice(2);
const body = JSON.stringify({ tool: 'echo', arguments: { msg: 'hi' } });
const json = { 'content-type': 'application/json' };
const call = { name: 'echo', arguments: { msg: 'hi' } };
const mcp = new URL(`${base}/mcp`);
const requestInit = { headers: { authorization: `Bearer ${key}` } };

async function byFetch(headers) {
  return fetch(`${base}/v1/tools/call`, { method: 'POST', headers: { ...json, ...headers }, body });
}

async function bySdk1() {
  const client = new Client1({ name: 'tls', version: '1' });
  await client.connect(new Transport1(mcp, { requestInit }));
  const result = await client.callTool(call);
  await client.close();
  return result.content[0].text;
}

async function byClient2() {
  const client = new Client2({ name: 'tls', version: '1' }, { versionNegotiation: { mode: { pin: MODERN } } });
  await client.connect(new Transport2(mcp, { requestInit }));
  const result = await client.callTool(call);
  await client.close();
  return result.content[0].text;
}

function byCertificate() {
  const options = { method: 'POST', headers: json, cert: readFileSync(certificate), key: readFileSync(keyFile) };
  return new Promise((resolve, reject) => {
    const request = https.request(`${base}/v1/tools/call`, { ...options, agent: false }, (response) => {
      let text = '';
      response.on('data', (piece) => (text += piece));
      response.on('end', () => resolve(JSON.parse(text).output));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const answers = {
  fetch: (await (await byFetch({ 'x-api-key': key })).json()).output,
  sdk1: await bySdk1(),
  client2: await byClient2(),
  certificate: await byCertificate(),
  nobody: (await byFetch({})).status,
};
console.log(JSON.stringify(answers));
