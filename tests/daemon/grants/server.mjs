// A provider for the tests of grants: oidc-provider, certified by the OpenID Foundation, on a free loopback port, with
// PKCE required, refresh tokens that rotate, and RFC 7009.
//
// A person stands at `POST /_test/consent {"url", "deny"?}`: it opens the address as a browser would, signs in, consents,
// and answers with the address that the browser is sent back to. `POST /_test/fault {"path", "count", "status", "type",
// "body", "delay_ms", "drop": "before" | "after", "set"}` is what happens to the next requests of a path; `set` changes
// fields of the answer. `POST /_test/alive {"token"}` says whether a refresh token works; `GET /_test/log` is this side's
// own account of each request.
//
// Keeps everything in memory and never listens on more than 127.0.0.1.

import http from 'node:http';
import { createRequire } from 'node:module';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.argv[2] + '/package.json');
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'app',
    client_secret: process.env.CLIENT_SECRET,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['https://app.example/callback'],
  }],
  clientAuthMethods: ['client_secret_basic'],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' }] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'read', 'write'],
  ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 3600 },
});

const log = [];
const name = (token) => (token ? createHash('sha256').update(token).digest('hex').slice(0, 16) : null);
const said = (what) => (ctx, error) => log.push({
  what,
  grant_type: ctx.oidc.params?.grant_type ?? null,
  token: name(ctx.oidc.params?.token ?? ctx.oidc.params?.refresh_token),
  error: error?.error ?? null,
});
provider.on('grant.success', said('granted'));
provider.on('grant.error', said('refused'));
provider.on('server_error', (_, error) => console.error(error));

// As a browser: follows redirects with cookies, fills in the forms, and stops where it is sent back.
async function consent({ url, deny }) {
  const jar = new Map();
  let form;
  for (let steps = 0; steps < 20; steps += 1) {
    const answer = await fetch(url, {
      redirect: 'manual',
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...jar].map(([key, value]) => `${key}=${value}`).join('; ') },
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const at = pair.indexOf('=');
      if (pair.slice(at + 1)) jar.set(pair.slice(0, at), pair.slice(at + 1));
      else jar.delete(pair.slice(0, at));
    }
    form = undefined;
    if (answer.status >= 300 && answer.status < 400) {
      url = new URL(answer.headers.get('location'), url).href;
      if (!url.startsWith(issuer)) return url;
      continue;
    }
    const page = await answer.text();
    if (answer.status !== 200) return `${answer.status} ${page}`;
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    if (deny) url = new URL(/href="([^"]*abort)"/.exec(page)[1], url).href;
    else form = prompt === 'login' ? { prompt, login: 'jane', password: 'x' } : { prompt };
  }
  return 'no end';
}

async function alive({ token }) {
  const found = await provider.RefreshToken.find(token);
  return !!found && !found.consumed && !!(await provider.Grant.find(found.grantId));
}

let faults = {};
const answer = provider.callback();

// What the provider itself says to a revocation, whatever becomes of the answer.
function oauth(request, response) {
  if (request.url === '/token/revocation') {
    response.once('finish', () => log.push({ what: response.statusCode === 200 ? 'revoked' : 'not revoked' }));
  }
  return answer(request, response);
}

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length ? JSON.parse(Buffer.concat(pieces).toString()) : {};
}

function say(response, status, text, headers = {}) {
  response.writeHead(status, { 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

async function faulty(request, response) {
  const fault = faults[request.url];
  if (!fault || fault.count-- <= 0) return oauth(request, response);
  if (fault.delay_ms) await new Promise((resolve) => setTimeout(resolve, fault.delay_ms));
  if (fault.drop === 'before') { log.push({ what: 'dropped' }); return request.socket.destroy(); }
  if (fault.drop === 'after') {
    response.write = () => true;
    response.end = () => { request.socket.destroy(); return response; };
    return oauth(request, response);
  }
  if (fault.set) {
    const end = response.end.bind(response);
    response.end = (text) => {
      const changed = JSON.stringify({ ...JSON.parse(text), ...fault.set });
      response.setHeader('content-length', Buffer.byteLength(changed));
      return end(changed);
    };
    return oauth(request, response);
  }
  if (fault.status) {
    log.push({ what: `status ${fault.status}` });
    return say(response, fault.status, fault.body ?? '', { 'content-type': fault.type ?? 'application/json' });
  }
  return oauth(request, response);
}

server.on('request', async (request, response) => {
  switch (request.url) {
    case '/_test/consent': return say(response, 200, await consent(await body(request)));
    case '/_test/alive': return say(response, 200, JSON.stringify(await alive(await body(request))));
    case '/_test/fault': {
      const fault = { count: 1, ...(await body(request)) };
      faults[fault.path] = fault;
      return say(response, 200, '');
    }
    case '/_test/log': return say(response, 200, JSON.stringify(log));
    default: return faulty(request, response);
  }
});

console.log(issuer);
