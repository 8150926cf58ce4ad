// A login authority that somebody else wrote, certified by the OpenID foundation, at the paths that Entra ID has.
//
//   node server.mjs TENANT GRAPH REGISTRATIONS
//
// TENANT is the path's first segment, GRAPH the root that scopes begin with, REGISTRATIONS a JSON list of
// { "client_id", "secret" | "certificate" (PEM) | "public": true }. Prints its root on a line of its own and serves loopback only.
// GET /approve?user_code=...&user=... plays the person who signs in. GET /seen returns which requests were answered how.
// GET /replay sends the last token request with an assertion once more, and returns the answer.
import { createPublicKey } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [tenant, graph, registrations] = process.argv.slice(2);
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

function client({ client_id, secret, certificate, public: isPublic }) {
  const base = { client_id, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
  if (secret) return { ...base, client_secret: secret, token_endpoint_auth_method: 'client_secret_post' };
  if (certificate) {
    return {
      ...base,
      jwks: { keys: [createPublicKey(certificate).export({ format: 'jwk' })] },
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'PS256',
    };
  }
  if (isPublic) return { ...base, grant_types: [DEVICE, 'refresh_token'], token_endpoint_auth_method: 'none' };
  throw new Error('a client is told by a secret or a certificate, or is public');
}

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const root = `http://127.0.0.1:${server.address().port}`;
const delegated = `${graph}/Presence.ReadWrite`;

const provider = new Provider(root, {
  clients: JSON.parse(registrations).map(client),
  scopes: ['openid', 'offline_access', `${graph}/.default`, delegated],
  claims: { openid: ['sub', 'oid', 'tid'] },
  conformIdTokenClaims: false,
  enabledJWA: { clientAuthSigningAlgValues: ['PS256'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: false },
  },
  routes: {
    token: `/${tenant}/oauth2/v2.0/token`,
    device_authorization: `/${tenant}/oauth2/v2.0/devicecode`,
  },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, oid: id, tid: tenant }) }),
  pkce: { required: () => false },
});

async function approve(userCode, user) {
  const code = await provider.DeviceCode.findByUserCode(userCode.replace(/[^A-Za-z0-9]/g, '').toUpperCase());
  if (!code) throw new Error('nobody knows this code');
  const grant = new provider.Grant({ clientId: code.clientId, accountId: user });
  grant.addOIDCScope(code.params.scope);
  Object.assign(code, {
    accountId: user,
    grantId: await grant.save(),
    scope: code.params.scope,
    claims: {},
    authTime: Math.floor(Date.now() / 1000),
  });
  await code.save();
}

const seen = [];
let lastAssertion;
provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.body?.client_assertion) lastAssertion = { path: ctx.path, form: { ...ctx.oidc.body } };
  if (ctx.path.includes('/oauth2/')) {
    seen.push({ path: ctx.path, status: ctx.status, error: ctx.body?.error, grant: ctx.oidc?.params?.grant_type });
  }
});

const handle = provider.callback();
server.on('request', async (request, response) => {
  const url = new URL(request.url, root);
  const say = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  if (url.pathname === '/seen') return say(200, seen);
  if (url.pathname === '/replay') {
    const body = new URLSearchParams(lastAssertion.form);
    const answer = await fetch(root + lastAssertion.path, { method: 'POST', body });
    return say(200, { status: answer.status, ...(await answer.json()) });
  }
  if (url.pathname !== '/approve') return handle(request, response);
  try {
    await approve(url.searchParams.get('user_code'), url.searchParams.get('user'));
    return say(200, {});
  } catch (error) {
    return say(400, { error: String(error) });
  }
});
console.log(root);
