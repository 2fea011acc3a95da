// A provider for the tests of refreshing: oidc-provider, certified by the OpenID Foundation, on a free loopback port.
//
// What it says is real: refresh tokens rotate, and one that is shown again ends its whole grant. What the network and a
// provider's operations do to such answers is put in between, by `POST /_test/fault`, for the next token requests:
//   {"count": 1, "delay_ms": 0, "drop": "before" | "after", "kill": pid, "status": 429, "retry_after": 1, "type": "text/html",
//    "body": "...", "size": bytes, "chunked": true, "change": {"drop": ["field"], "set": {"field": value}, "cut": bytes}}
// `kill` ends that process by SIGKILL in the moment of the drop, so that it dies while the answer is owed to it.
// `drop: "after"` commits the rotation and loses the answer. `GET /_test/log` is this side's own account of each request.
// `POST /_test/weather {"busy": 0.04, "late": 0.05, "before": 0.01, "after": 0.01, "broken": 0.01}` gives every request its
// chance of a fault. `POST /_test/hold` keeps all answers back, `GET /_test/held` counts them, `POST /_test/release` throws them away and goes on.
// `POST /_test/issue {"client"}` gives a first refresh token without a browser; `POST /_test/secret {"secret"}` sets the
// secret of both clients.
//
// `GET /_test/plaintext` is every secret that went over the wire, where KEEP_PLAINTEXT is set: for who looks for them elsewhere.
//
// Keeps everything in memory and never listens on more than 127.0.0.1.

import http from 'node:http';
import { createRequire } from 'node:module';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.argv[2] + '/package.json');
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const ROTATES = 'rotates';
const STAYS = 'stays';
const SCOPE = 'openid offline_access read';
let secret = process.env.CLIENT_SECRET;

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const client = (id) => ({
  client_id: id,
  client_secret: secret,
  token_endpoint_auth_method: 'client_secret_basic',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: ['https://app.example/callback'],
});
// Its own store forgets the oldest of a thousand entries, and a forgotten token is a refused one. This one forgets nothing.
const stored = new Map();
const revoked = new Set();
class Store {
  constructor(model) { this.model = model; }
  async upsert(id, payload) { stored.set(`${this.model}:${id}`, payload); }
  async find(id) {
    const payload = stored.get(`${this.model}:${id}`);
    return payload && !revoked.has(payload.grantId) ? payload : undefined;
  }
  async findByUid() { return undefined; }
  async findByUserCode() { return undefined; }
  async consume(id) { stored.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(`${this.model}:${id}`); }
  async revokeByGrantId(grant) { revoked.add(grant); }
}

// With SIGNING_KEY, an ES256 key in PEM, a third client proves itself by it.
const clients = [client(ROTATES), client(STAYS)];
if (process.env.SIGNING_KEY) {
  const key = createPublicKey(readFileSync(process.env.SIGNING_KEY)).export({ format: 'jwk' });
  const { client_secret: _, ...without } = client('signs');
  const jwks = { keys: [{ ...key, alg: 'ES256', kid: 'k1', use: 'sig' }] };
  clients.push({ ...without, token_endpoint_auth_method: 'private_key_jwt', jwks });
}

const provider = new Provider(issuer, {
  adapter: Store,
  clients,
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: () => '/unused' },
  jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' }] },
  rotateRefreshToken: (ctx) => ctx.oidc.client.clientId !== STAYS,
  scopes: ['openid', 'offline_access', 'read'],
  ttl: { AccessToken: Number(process.env.ACCESS_TTL), Grant: 86400, IdToken: 3600, RefreshToken: 86400 },
});

const log = [];
const name = (token) => createHash('sha256').update(token).digest('hex').slice(0, 16);
// When a request came, and when its answer was written, if it was.
function enter(request, entry) {
  entry.at = request.began ?? Date.now();
  entry.answered_at = null;
  request.entry = entry;
  log.push(entry);
}
const plaintext = [];
function remember(ctx) {
  if (!process.env.KEEP_PLAINTEXT) return;
  const secrets = { authorization: ctx.headers.authorization, ...ctx.oidc.params, ...ctx.body };
  for (const name of ['authorization', 'client_assertion', 'refresh_token', 'access_token', 'id_token']) {
    if (secrets[name]) plaintext.push([name, secrets[name]]);
  }
  if (ctx.oidc.params?.refresh_token) plaintext.push(['spent refresh_token', ctx.oidc.params.refresh_token]);
}
const account = (ctx, result) => remember(ctx) ?? enter(ctx.req, {
  result,
  token: name(ctx.oidc.params.refresh_token),
  next: result === 'granted' ? name(ctx.body.refresh_token) : null,
  lost: !!ctx.req.lost,
});
provider.on('grant.success', (ctx) => account(ctx, 'granted'));
provider.on('grant.error', (ctx, error) => {
  if (ctx.oidc.params?.refresh_token) account(ctx, error.error);
  else enter(ctx.req, { result: error.error, token: null, next: null, lost: false });
});
provider.on('server_error', (_, error) => console.error(error));

async function issue(id) {
  const owner = await provider.Client.find(id);
  const grant = new provider.Grant({ clientId: id, accountId: 'jane' });
  grant.addOIDCScope(SCOPE);
  const token = new provider.RefreshToken({
    accountId: 'jane', authTime: Math.floor(Date.now() / 1000), client: owner, expiresWithSession: false,
    grantId: await grant.save(), gty: 'authorization_code', rotations: 0, scope: SCOPE,
  });
  return token.save();
}

let fault = { count: 0 };
let weather = {};
let held = null;
const oauth = provider.callback();

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length ? JSON.parse(Buffer.concat(pieces).toString()) : {};
}

function say(response, status, text, headers = {}) {
  response.writeHead(status, { 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

// What the provider says, changed on its way.
function change(response, { drop = [], set = {}, cut }) {
  const end = response.end.bind(response);
  response.end = (said) => {
    const fields = { ...JSON.parse(said), ...set };
    for (const field of drop) delete fields[field];
    const text = JSON.stringify(fields);
    response.setHeader('content-length', Buffer.byteLength(text));
    if (cut === undefined) return end(text);
    response.write(text.slice(0, cut), () => response.socket.destroy());
    return response;
  };
}

// For the account of what the provider proper never sees.
async function shown(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const token = new URLSearchParams(Buffer.concat(pieces).toString()).get('refresh_token');
  if (token) request.shown = name(token);
}

// What befalls a request, where nothing was asked for.
function chance() {
  const faults = {
    after: { drop: 'after' },
    before: { drop: 'before' },
    broken: { status: 500, body: '' },
    busy: { status: 429, retry_after: 1 },
    late: { delay_ms: Math.floor(Math.random() * 1000) },
  };
  let dice = Math.random();
  for (const [kind, share] of Object.entries(weather)) {
    dice -= share;
    if (dice < 0) return faults[kind];
  }
  return {};
}

// While answers are held, each is kept back; whoever waits for it will not get it.
function holding(request, response) {
  const end = response.end.bind(response);
  response.end = (...said) => {
    if (!held) return end(...said);
    if (request.entry) request.entry.lost = true;
    held.push(request.socket);
    return response;
  };
  response.on('finish', () => { if (request.entry) request.entry.answered_at = Date.now(); });
}

async function token(request, response) {
  request.began = Date.now();
  const now = fault.count-- > 0 ? fault : chance();
  const skipped = (result) => {
    enter(request, { result, token: request.shown ?? null, next: null, lost: now.drop !== undefined });
  };
  const strike = () => { if (now.kill) process.kill(now.kill, 'SIGKILL'); };
  if (!now.drop) holding(request, response);
  if (now.delay_ms) await new Promise((resolve) => setTimeout(resolve, now.delay_ms));
  if (now.drop === 'before') { await shown(request); strike(); skipped('dropped'); return request.socket.destroy(); }
  if (now.drop === 'after') {
    request.lost = true;
    response.write = () => true;
    response.end = () => { strike(); request.socket.destroy(); return response; };
    return oauth(request, response);
  }
  if (now.change) { change(response, now.change); return oauth(request, response); }
  if (now.size && now.chunked) {
    skipped('flood');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('x');
    return response.end('x'.repeat(now.size - 1));
  }
  if (now.size) { skipped('flood'); return say(response, 200, 'x'.repeat(now.size), { 'content-type': 'application/json' }); }
  if (now.status) {
    await shown(request);
    skipped(`status ${now.status}`);
    const headers = { 'content-type': now.type ?? 'application/json' };
    if (now.retry_after) headers['retry-after'] = String(now.retry_after);
    return say(response, now.status, now.body ?? '', headers);
  }
  return oauth(request, response);
}

server.on('request', async (request, response) => {
  switch (request.url) {
    case '/token': return token(request, response);
    case '/_test/issue': return say(response, 200, await issue((await body(request)).client));
    case '/_test/fault': fault = { count: 1, ...(await body(request)) }; return say(response, 200, '');
    case '/_test/weather': weather = await body(request); return say(response, 200, '');
    case '/_test/hold': held = []; return say(response, 200, '');
    case '/_test/held': return say(response, 200, String(held.filter((socket) => !socket.destroyed).length));
    case '/_test/release':
      for (const socket of held ?? []) socket.destroy();
      held = null;
      return say(response, 200, '');
    case '/_test/plaintext': return say(response, 200, JSON.stringify(plaintext));
    case '/_test/log': return say(response, 200, JSON.stringify(log));
    case '/_test/secret': {
      secret = (await body(request)).secret;
      for (const id of [ROTATES, STAYS]) (await provider.Client.find(id)).clientSecret = secret;
      return say(response, 200, '');
    }
    default: return oauth(request, response);
  }
});

console.log(issuer);
