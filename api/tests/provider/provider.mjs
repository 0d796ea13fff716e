// An OpenID provider on a free port, with people who say yes at once. It is told over its input and ends with it.
//
// client <redirect URI>: knows a client. rotate: signs with another key from now on. Each is answered with a line.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const server = createServer();
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
let redirect = "http://127.0.0.1:1/none";

const key = () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };
};

// Whoever is unsure has not shown that the address is theirs.
const findAccount = (_, id) => ({
  accountId: id,
  claims: () => ({ sub: id, name: `${id} of elsewhere`, email: `${id}@example.org`, email_verified: !id.startsWith("unsure") }),
});

let keys = [key()];
let provider;
const begin = () => {
  provider = new Provider(issuer, {
    clients: [{ client_id: "cairn", client_secret: "a secret of the test, long enough", redirect_uris: [redirect] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    acrValues: ["urn:example:mfa"],
    cookies: { keys: ["of the test"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys },
    findAccount,
  });
};
begin();

// Who is strong shows more than one factor. Whom the person is at the provider stands in the login_hint; `nobody` says no.
const interact = async (request, response) => {
  const { params } = await provider.interactionDetails(request, response);
  const accountId = params.login_hint ?? "ada";
  if (accountId === "nobody") {
    return provider.interactionFinished(request, response, { error: "access_denied" });
  }
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const grantId = await grant.save();
  const strong = accountId.startsWith("strong") ? { acr: "urn:example:mfa", amr: ["pwd", "otp", "mfa"] } : {};
  return provider.interactionFinished(request, response, { login: { accountId, ...strong }, consent: { grantId } });
};

server.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) return provider.callback()(request, response);
  return interact(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
});

console.log(issuer);
for await (const line of createInterface({ input: process.stdin })) {
  const [word, argument] = line.split(" ");
  if (word === "client") redirect = argument;
  if (word === "rotate") keys = [key()];
  begin();
  console.log("done");
}
process.exit(0);
