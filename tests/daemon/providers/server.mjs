// A real OAuth server for the tests: oidc-provider, certified by the OpenID Foundation, on a free loopback port, with a
// client for each way of proving oneself. Prints its issuer when it listens.
//
// Secrets have characters that a form escapes, so that Basic with and without encoding differ (RFC 6749, section 2.3.1).
//
// Keeps everything in memory and never listens on more than 127.0.0.1.

import http from 'node:http';
import https from 'node:https';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Of the demo, which has it locked.
const { Provider } = await import(pathToFileURL(createRequire(process.argv[2]).resolve('oidc-provider')));

const room = process.argv[3];
const [secret, es256, rs256] = ['secret', 'es256.pem', 'rs256.pem'].map((name) => `${room}/${name}`);
const file = (name) => readFileSync(`${room}/${name}`);
const jwk = (file, alg) =>
  ({ ...createPublicKey(readFileSync(file)).export({ format: 'jwk' }), alg, kid: 'k1', use: 'sig' });
const client = (client_id, method, more) => ({
  client_id,
  token_endpoint_auth_method: method,
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: ['https://app.example/callback'],
  ...more,
});

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const client_secret = readFileSync(secret, 'utf8').trimEnd();

const provider = new Provider(issuer, {
  clients: [
    client('basic app', 'client_secret_basic', { client_secret }),
    client('post', 'client_secret_post', { client_secret }),
    client('es256', 'private_key_jwt', { jwks: { keys: [jwk(es256, 'ES256')] } }),
    client('rs256', 'private_key_jwt', { jwks: { keys: [jwk(rs256, 'RS256')] } }),
    client('public', 'none', {}),
    client('mtls', 'tls_client_auth', { tls_client_auth_san_uri: 'spiffe://example/vault' }),
  ],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none', 'tls_client_auth'],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.req.socket.getPeerX509Certificate?.(),
      certificateAuthorized: (ctx) => ctx.req.socket.authorized,
      certificateSubjectMatches: (ctx, _, expected) =>
        ctx.req.socket.getPeerX509Certificate().subjectAltName === `URI:${expected}`,
    },
  },
  jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' }] },
});
server.on('request', provider.callback());

// The same over TLS, for the client that proves itself in the handshake.
const tls = https.createServer({
  cert: file('tls/server.crt'), key: file('tls/server.key'), ca: file('tls/clients-ca.crt'),
  requestCert: true, rejectUnauthorized: false,
}, provider.callback());
await new Promise((resolve) => tls.listen(0, '127.0.0.1', resolve));
console.log(issuer, `https://localhost:${tls.address().port}`);
