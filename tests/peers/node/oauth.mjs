// A client that has no credential yet and finds its way to one, by the SDKs' own authorization.
// Arguments: sdk-1|client-2 URL. Prints what it got, and which scopes and resource the token was asked for.

import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';

const [sdk, url] = process.argv.slice(2);
const info = { name: 'oauth', version: '1' };

/** Keeps everything in memory; the user agrees to everything. */
class Provider {
  redirectUrl = 'http://127.0.0.1:1/callback';
  clientMetadata = {
    client_name: 'oauth',
    redirect_uris: [this.redirectUrl],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  clientInformation = () => this.client;
  saveClientInformation = (client) => (this.client = client);
  tokens = () => this.saved;
  saveTokens = (tokens) => (this.saved = tokens);
  redirectToAuthorization = (to) => (this.authorization = to);
  saveCodeVerifier = (verifier) => (this.verifier = verifier);
  codeVerifier = () => this.verifier;
}

const provider = new Provider();
const transport = () =>
  sdk === 'sdk-1'
    ? new Transport1(new URL(url), { authProvider: provider })
    : new Transport2(new URL(url), { authProvider: provider });
const client = () =>
  sdk === 'sdk-1' ? new Client1(info) : new Client2(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } });

const first = transport();
let refused;
try {
  await client().connect(first);
} catch (error) {
  refused = error;
}
if (!provider.authorization) throw refused ?? new Error('it was let in without a token');
// What a browser does, with a user who agrees.
const agreed = await fetch(provider.authorization, { redirect: 'manual' });
const answer = new URL(agreed.headers.get('location')).searchParams;
await first.finishAuth(sdk === 'sdk-1' ? answer.get('code') : answer);

const second = client();
await second.connect(transport());
const result = await second.callTool({ name: 'echo', arguments: { msg: 'hello' } });
await second.close();
const asked = provider.authorization.searchParams;
console.log(
  JSON.stringify({ text: result.content[0].text, scope: asked.get('scope'), resource: asked.get('resource') }),
);
