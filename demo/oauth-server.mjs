// The OAuth server of the demo: oidc-provider, certified by the OpenID Foundation, on a free loopback port.
//
// Its token endpoint is the real one: authorization codes with PKCE, refresh tokens that rotate and whose reuse revokes
// the grant. What a browser and a person's consent would do, `POST /consent` does: it answers with an authorization code.
//
// oidc-provider 8 is the last that runs on node 18, the one of Debian 12.
//
// Keeps everything in memory and never listens on more than 127.0.0.1.

import http from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

const CLIENT = 'demo-app';
const REDIRECT = 'https://app.example/callback';
const SCOPE = 'openid offline_access read:org';

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT,
    client_secret: process.env.CLIENT_SECRET,
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [REDIRECT],
  }],
  clientAuthMethods: ['client_secret_post'],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: () => '/unused' },
  jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' }] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'read:org'],
  ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, RefreshToken: 86400 },
});

async function consent(account, challenge) {
  const client = await provider.Client.find(CLIENT);
  const grant = new provider.Grant({ clientId: CLIENT, accountId: account });
  grant.addOIDCScope(SCOPE);
  const code = new provider.AuthorizationCode({
    accountId: account,
    authTime: Math.floor(Date.now() / 1000),
    client,
    codeChallenge: challenge,
    codeChallengeMethod: 'S256',
    expiresWithSession: false,
    grantId: await grant.save(),
    gty: 'authorization_code',
    redirectUri: REDIRECT,
    scope: SCOPE,
  });
  return code.save();
}

const oauth = provider.callback();
server.on('request', async (request, response) => {
  if (request.url !== '/consent') return oauth(request, response);
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const form = new URLSearchParams(Buffer.concat(pieces).toString());
  response.end(await consent(form.get('account'), form.get('code_challenge')));
});

console.log(issuer);
