// An authorization server: the SDK's own router (metadata, registration, PKCE), with tokens that are JWTs.
// Prints `listening URL`. GET /token?audience=&scope= makes a token for whoever asks: for tests of what is refused.

import { randomUUID } from 'node:crypto';
import express from 'express';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import { mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';

const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
const app = express();
const server = app.listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const issuer = `http://127.0.0.1:${server.address().port}/`;

function token(audience, scope) {
  return new SignJWT({ tenant: 'company-a', scope })
    .setProtectedHeader({ alg: 'EdDSA', kid: 'k1', typ: 'at+jwt' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject('ada')
    .setJti(randomUUID())
    .setExpirationTime('5 minutes')
    .sign(privateKey);
}

class Provider extends DemoInMemoryAuthProvider {
  async exchangeAuthorizationCode(client, code) {
    const { params } = this.codes.get(code);
    const made = await super.exchangeAuthorizationCode(client, code);
    return { ...made, access_token: await token(params.resource?.href ?? 'nobody', made.scope) };
  }
}

app.get('/jwks', async (_, response) => {
  response.json({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'EdDSA', use: 'sig' }] });
});
app.get('/token', async (request, response) => {
  response.send(await token(request.query.audience, request.query.scope));
});
app.use(mcpAuthRouter({ provider: new Provider(), issuerUrl: new URL(issuer), scopesSupported: ['mcp:tools'] }));
console.log(`listening ${issuer}`);
