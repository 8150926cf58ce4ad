"""Compares the token requests of presenced with those of Microsoft's own library, field by field.

    compare.py PRESENCED

PRESENCED is the built binary. Everything stays on loopback; nothing reaches Microsoft. Exit code 1 where a difference is
not one of those that are explained below.
"""

import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import msal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
import datetime
import secrets

TENANT = "9c7f0000-0000-4000-8000-000000000001"
CLIENT = "22553876-0000-4000-8000-000000000000"
SECRET = secrets.token_urlsafe(30)
PATIENCE = 30.0

# Form fields that one of the two sends and the other does not.
#
# - client_info=1: MSAL asks for a blob that names the account, which it keys its cache of users by. An app has no user.
ONLY_MSAL = {"client_info"}
ONLY_PRESENCED = set()

# Headers. MSAL tells who it is (x-client-*) and which throttling it understands (x-ms-lib-capability): telemetry, and
# no part of the protocol. Both send a client-request-id, which Microsoft's support asks for, and ask for JSON.
NEEDED_HEADERS = {"client-request-id", "content-type", "accept"}


class Recorder(http.server.BaseHTTPRequestHandler):
    """Stands in for the login host, and for Graph."""

    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        if self.path.endswith("/oauth2/v2.0/token"):
            headers = {name.lower(): value for name, value in self.headers.items()}
            Recorder.seen.append((self.path, headers, body))
        answer = json.dumps({"token_type": "Bearer", "expires_in": 3600, "access_token": "e30.e30.c2ln"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def of_presenced(binary, root, credential, files):
    """The token request of a daemon with this credential."""
    Recorder.seen.clear()
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            path = os.path.join(directory, name)
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(text)
        config = os.path.join(directory, "config.toml")
        with open(config, "w") as file:
            file.write(
                f"""
[daemon]
state_dir = "state"
[[app]]
name = "contoso"
tenant = "{TENANT}"
client_id = "{CLIENT}"
cloud = {{ graph = "{root}", login = "{root}" }}
credential = {credential}
[[user]]
id = "00000000-0000-4000-8000-000000000001"
availability = "Available"
"""
            )
        log = open(os.path.join(directory, "log"), "w+")
        daemon = subprocess.Popen([binary, "run", "--config", config], env={}, stdin=subprocess.DEVNULL, stderr=log)
        try:
            deadline = time.monotonic() + PATIENCE
            while not Recorder.seen:
                if time.monotonic() > deadline or daemon.poll() is not None:
                    log.seek(0)
                    sys.exit(f"presenced asked for no token:\n{log.read()}")
                time.sleep(0.05)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(PATIENCE)
    return Recorder.seen[0]


class Http:
    """What MSAL takes for the network."""

    class Answer:
        def __init__(self, body):
            self.status_code, self.text, self.headers = 200, json.dumps(body), {}

        def raise_for_status(self):
            pass

    def __init__(self, root):
        self.root, self.seen = root, []

    def get(self, url, **_):
        base = f"{self.root}/{TENANT}"
        return self.Answer(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            }
        )

    def post(self, url, data=None, headers=None, params=None, **_):
        body = data if isinstance(data, str) else urllib.parse.urlencode(data)
        self.seen.append((urllib.parse.urlsplit(url).path, {k.lower(): v for k, v in (headers or {}).items()}, body))
        return self.Answer({"token_type": "Bearer", "expires_in": 3600, "access_token": "e30.e30.c2ln"})

    def close(self):
        pass


def of_msal(root, credential):
    """MSAL's token request with this credential."""
    http_client = Http("https://login.microsoftonline.com")
    app = msal.ConfidentialClientApplication(
        CLIENT,
        client_credential=credential,
        authority=f"https://login.microsoftonline.com/{TENANT}",
        instance_discovery=False,
        http_client=http_client,
    )
    answer = app.acquire_token_for_client([f"{root}/.default"])
    assert "access_token" in answer, answer
    return http_client.seen[-1]


def fields(body):
    return dict(urllib.parse.parse_qsl(body, strict_parsing=True, keep_blank_values=True))


def jwt(text):
    def part(piece):
        return json.loads(base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))

    header, claims, _ = text.split(".")
    return part(header), part(claims)


def certificate():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "presenced")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_pem = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key_pem.decode(), cert.public_bytes(pem).decode()


class Comparison:
    def __init__(self, what):
        self.what, self.wrong = what, []

    def hold(self, holds, problem):
        if not holds:
            self.wrong.append(problem)

    def equal(self, key, ours, theirs):
        self.hold(ours == theirs, f"{key}: presenced sends another value than MSAL")

    def requests(self, ours, theirs):
        self.equal("path", ours[0], theirs[0])
        for header in NEEDED_HEADERS - {"content-type"}:
            self.hold(header in ours[1], f"presenced sends no {header}")
            self.hold(header in theirs[1], f"MSAL sends no {header}: the list above is out of date")
        self.equal("content-type", ours[1].get("content-type"), "application/x-www-form-urlencoded")
        ours, theirs = fields(ours[2]), fields(theirs[2])
        self.hold(set(ours) - set(theirs) == ONLY_PRESENCED, f"only presenced sends {set(ours) - set(theirs)}")
        self.hold(set(theirs) - set(ours) == ONLY_MSAL, f"only MSAL sends {set(theirs) - set(ours)}")
        for key in sorted(set(ours) & set(theirs) - {"client_assertion"}):
            self.equal(key, ours[key], theirs[key])
        print(f"{self.what}: the same {', '.join(sorted(set(ours) & set(theirs)))}; only MSAL: {', '.join(ONLY_MSAL)}")
        return ours, theirs

    def assertions(self, ours, theirs, endpoints):
        (our_header, our_claims), (their_header, their_claims) = jwt(ours), jwt(theirs)
        self.equal("alg", our_header["alg"], their_header["alg"])
        self.equal("typ", our_header["typ"].upper(), their_header["typ"].upper())
        # MSAL pads the thumbprint; RFC 7515 section 4.1.8 wants it without.
        print_of = lambda header: header["x5t#S256"].rstrip("=").replace("+", "-").replace("/", "_")
        self.equal("x5t#S256", print_of(our_header), print_of(their_header))
        # MSAL sends the chain along (x5c) where it was told to for subject name/issuer authentication, which presenced
        # does not offer.
        self.hold(set(our_header) == {"alg", "typ", "x5t#S256"}, f"presenced's header has {set(our_header)}")
        # nbf is what MSAL leaves out: the token endpoint takes iat for it.
        self.hold(set(our_claims) - set(their_claims) <= {"nbf"}, f"claims of presenced alone: {set(our_claims)}")
        self.hold(set(their_claims) <= set(our_claims), f"claims of MSAL alone: {set(their_claims) - set(our_claims)}")
        for key in ("iss", "sub"):
            self.equal(key, our_claims[key], their_claims[key])
        self.hold(our_claims["aud"] == endpoints[0], "aud is not the token endpoint")
        self.hold(their_claims["aud"] == endpoints[1], "MSAL's aud is not the token endpoint")
        self.hold(0 < our_claims["exp"] - our_claims["iat"] <= 600, "an assertion is good for ten minutes at most")
        self.hold(our_claims["jti"] != their_claims["jti"], "jti")
        print(f"{self.what}: the same header and claims: {', '.join(sorted(our_header))}; {', '.join(sorted(our_claims))}")


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    binary = sys.argv[1]
    path = f"/{TENANT}/oauth2/v2.0/token"
    wrong = []

    secret = Comparison("client secret")
    secret.requests(
        of_presenced(binary, root, '{ secret_file = "contoso.secret" }', {"contoso.secret": SECRET}),
        of_msal(root, SECRET),
    )
    wrong += secret.wrong

    key, cert = certificate()
    by_certificate = Comparison("certificate")
    ours, theirs = by_certificate.requests(
        of_presenced(binary, root, '{ certificate_file = "contoso.pem" }', {"contoso.pem": key + cert}),
        of_msal(root, {"private_key": key, "public_certificate": cert}),
    )
    by_certificate.assertions(
        ours["client_assertion"],
        theirs["client_assertion"],
        (root + path, "https://login.microsoftonline.com" + path),
    )
    wrong += by_certificate.wrong

    server.shutdown()
    for problem in wrong:
        print(f"DIFFERENT: {problem}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
