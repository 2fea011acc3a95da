// A real OAuth server for the tests: oidc-provider, certified by the OpenID Foundation, on a free loopback port, with a
// client for each way of proving oneself. Prints its issuer when it listens.
//
// Secrets have characters that a form escapes, so that Basic with and without encoding differ (RFC 6749, section 2.3.1).
//
// Keeps everything in memory and never listens on more than 127.0.0.1.

import http from 'node:http';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Of the demo, which has it locked.
const { Provider } = await import(pathToFileURL(createRequire(process.argv[2]).resolve('oidc-provider')));

const [, , , secret, es256, rs256] = process.argv;
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
  ],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' }] },
});
server.on('request', provider.callback());
console.log(issuer);
