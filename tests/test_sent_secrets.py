"""Secrets that were sent are masked in answers, in any encoding."""

import base64
import html
import json
import quopri
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.sent_secrets import Secrets

SECRETS: Final = [
    "f00dfeed" * 5,
    "kJ8_x-Tq/9+a==",
    "correct horse battery",
    "пароль от кухни",
    "me@example.com",
    'a "quoted" & <odd> 100% \\ one',
    "sixsix",
    'k%3f"Zq9&w12',
    "pa\\nss&word12",
    'x=3D"y123456',
    "Пароль=41%41жд",
    'good-start-100%25"tail-of-secret',
    "Grüße€2025!!",
    "pässwörd-Я1",
    "🔑secret-key-99",
]


def _base64(before: int, after: int) -> Callable[[str], str]:
    return lambda secret: base64.b64encode(b"~" * before + secret.encode() + b"~" * after).decode()


FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": str,
    "glued to letters": lambda secret: f"key{secret}end",
    "upper case": lambda secret: secret.upper() if secret.isascii() else secret,
    "JSON": json.dumps,
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"password": secret})),
    "JSON of another server": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "HTML by number": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "HTML in hex": lambda secret: "".join(f"&#x{ord(char):X};" for char in secret),
    "JSON in HTML": lambda secret: html.escape(json.dumps(secret)),
    "URL": lambda secret: quote(secret, safe=""),
    "URL, lower case": lambda secret: quote(secret, safe="").lower(),
    "form": quote_plus,
    "URL, every byte": lambda secret: "".join(f"%{octet:02X}" for octet in secret.encode()),
    "URL, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "repr": repr,
    "repr of bytes": lambda secret: repr(secret.encode()),
    "repr of a list of a repr": lambda secret: repr([repr(secret)]),
    "ASCII": ascii,
    "hex": lambda secret: secret.encode().hex(),
    "HEX": lambda secret: secret.encode().hex().upper(),
    "quoted-printable": lambda secret: quopri.encodestring(
        secret.encode(), quotetabs=True
    ).decode(),
    "UTF-16": lambda secret: (
        secret.encode("utf-16-le").decode("latin-1") if secret.isascii() else secret
    ),
    "Base64": _base64(0, 0),
    "Base64 from the second byte": _base64(1, 1),
    "Base64 from the third byte": _base64(2, 5),
    "Base64 of user and password": lambda secret: _base64(0, 0)(f"user:{secret}"),
    "Base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"?{secret}".encode()).decode(),
    "Base64 in a URL": lambda secret: quote(_base64(0, 0)(secret), safe=""),
    "Base64 in lines": lambda secret: base64.encodebytes(b"~" * 70 + secret.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    written = FORMS[form](secret)
    masked = Secrets("another one", secret).mask(f"before {written} after")
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    rest = masked.removeprefix("before ").removesuffix(" after").replace("***", "")
    assert len(rest) <= len(FORMS[form]("")) + 14  # the edges of Base64, quotes, "password"
    assert secret[:8] not in masked


@pytest.mark.parametrize("secret", [secret for secret in SECRETS if len(secret) > 8])
@pytest.mark.parametrize("form", ["plain", "URL", "hex", "Base64", "JSON"])
def test_truncated_secret_is_masked(secret: str, form: str) -> None:
    cut = FORMS[form](secret[:9]) if form in ("plain", "URL", "JSON") else FORMS[form](secret)[:8]
    assert Secrets(secret).mask(f"it was {cut}").replace('"', "") == "it was ***"


@pytest.mark.parametrize("secret", ["x", "1234", "hi you"[:5]])
def test_text_with_a_very_short_secret_is_masked_entirely(secret: str) -> None:
    assert Secrets(secret).mask(f"the password {secret} is wrong") == "***"
    assert Secrets(secret).mask(quote(f"the password {secret} is wrong")) == "***"
    assert Secrets(secret).mask("no go") == "no go"


@pytest.mark.parametrize("secret", ["", " ", "        ", "\t\n", "\0"])
def test_empty_and_blank_secrets_mask_nothing(secret: str) -> None:
    assert Secrets(secret).mask("nothing to hide") == "nothing to hide"
    assert not Secrets(secret).are_in(b"nothing to hide")


@pytest.mark.parametrize("secret", ["       xyz-123", "a b c d e f g secret"])
def test_blanks_in_a_secret_do_not_mask_other_text(secret: str) -> None:
    assert Secrets(secret).mask("an example, abcd") == "an example, abcd"


def test_secret_with_a_no_break_space_is_masked_in_a_repr() -> None:
    secret = "пароль\xa0кижи-77"
    assert "кижи" not in Secrets(secret).mask(repr(secret))


def test_text_that_looks_like_a_secret_is_masked() -> None:
    assert Secrets().mask("mail you@example.org") == "mail ***"


def test_adjacent_and_overlapping_secrets_are_masked() -> None:
    assert Secrets("abcdefgh", "efghijkl").mask("-abcdefghijkl-") == "-***-"
    assert Secrets("first-one", "second-one").mask("first-one second-one") == "*** ***"


def test_a_secret_is_in_no_repr() -> None:
    assert "hunter22" not in repr(Secrets("hunter22"))


def test_all_texts_of_a_payload_are_masked() -> None:
    secrets = Secrets("f00dfeed" * 5)
    payload = {"name": "Token " + "f00dfeed" * 5, "f00dfeed" * 5: [1, None, {"x": "f00dfeed..."}]}
    assert secrets.mask_all(payload) == {"name": "Token ***", "***": [1, None, {"x": "***..."}]}


def test_long_text_with_a_secret_is_masked_entirely() -> None:
    secrets = Secrets("f00dfeed" * 5)
    plain = "x y " * 1_000_000
    assert secrets.mask_all([plain + "f00dfeed" * 5, plain]) == ["***", plain]


@pytest.mark.parametrize("form", ["plain", "glued to letters", "Base64", "hex", "HEX"])
def test_secret_in_a_body_is_found(form: str) -> None:
    secret = "f00dfeed" * 5
    body = b'[{"name": "' + FORMS[form](secret).encode() + b'"}]'
    assert Secrets(secret).are_in(body)
    assert not Secrets(secret).are_in(b'[{"name": "Kitchen"}]')


WRITERS: Final = st.lists(
    st.sampled_from(
        [
            json.dumps,
            html.escape,
            lambda text: quote(text, safe=""),
            lambda text: quopri.encodestring(text.encode(), quotetabs=True).decode(),
            repr,
        ]
    ),
    max_size=3,
)
TEXTS: Final = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)


@given(
    secret=st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"])
        | st.sampled_from(list(" %=\\&;#x3fDn")),
        min_size=6,
        max_size=40,
    ).filter(lambda secret: len("".join(secret.split())) >= 6),
    before=TEXTS,
    after=TEXTS,
    writers=WRITERS,
)
def test_secret_is_masked_after_any_chain_of_encodings(
    secret: str, before: str, after: str, writers: list[Callable[[str], str]]
) -> None:
    text = f"{before} {secret} {after}"
    for write in writers:
        text = write(text)
    assert "***" in Secrets(secret).mask(text)


@given(text=st.text(max_size=200))
def test_text_without_the_secret_is_only_redacted(text: str) -> None:
    assert Secrets("never-in-a-generated-text").mask(text) == Secrets().mask(text)
