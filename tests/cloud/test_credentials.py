"""Which credentials are used: those of the first account that has any, else the saved token."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sst_cloud import (
    Auth,
    CredentialsError,
    NotLoggedInError,
    PasswordAuth,
    SSTCloud,
    SSTCloudError,
    TokenAuth,
    TokenRejectedError,
)
from sst_cloud.cloud.credentials import Account, base_url, find_auth, read_secret
from sst_cloud.cloud.token_file import TokenFile
from sst_cloud.redaction import SECRET_VARIABLES
from sst_cloud.testing import FakeCloud


def secret(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"{text}\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "config" / "credentials.json")


async def houses(auth: Auth, fake: FakeCloud) -> int:
    async with SSTCloud(auth, base_url=fake.url) as cloud:
        return len(await cloud.houses())


async def test_first_account_with_credentials_wins(fake: FakeCloud) -> None:
    good, stale = Account(token=fake.token), Account(token="stale")
    login = Account(email=fake.email, password=fake.password)
    for accounts in ([good, stale], [Account(), good], [login, stale]):
        assert await houses(find_auth(accounts), fake) == 2
    with pytest.raises(TokenRejectedError):
        await houses(find_auth([stale, good]), fake)


async def test_email_and_password_may_come_from_two_accounts(
    fake: FakeCloud, tmp_path: Path
) -> None:
    password = secret(tmp_path, "password", fake.password)
    accounts = [Account(password_file=password), Account(email=fake.email)]
    assert await houses(find_auth(accounts), fake) == 2


@pytest.mark.parametrize(
    ("account", "missing"),
    [
        (Account(email="me@example.com"), "the e-mail needs a password"),
        (Account(password="hunter2"), "the password needs an e-mail"),
    ],
)
def test_incomplete_login_is_an_error(account: Account, missing: str) -> None:
    with pytest.raises(CredentialsError, match=missing) as caught:
        find_auth([account])
    assert "hunter2" not in str(caught.value)


def test_there_may_be_no_credentials(tokens: TokenFile) -> None:
    with pytest.raises(NotLoggedInError, match=r"not logged in to https://cloud\.example: "):
        find_auth([Account(), Account(url="https://cloud.example")], tokens)


def test_first_url_wins() -> None:
    first, second = (Account(url=f"https://{name}.example") for name in ("first", "second"))
    assert base_url([Account(), first, second]) == first.url
    assert base_url([]).startswith("https://api.sst-cloud.com")


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"SST_CLOUD_TOKEN": "abc"}, TokenAuth),
        ({"SST_CLOUD_TOKEN": "", "SST_CLOUT_TOKEN": "abc"}, TokenAuth),
        ({"SST_CLOUD_EMAIL": "me@example.com", "SST_CLOUD_PASSWORD": "x"}, PasswordAuth),
    ],
)
def test_account_of_the_environment(environ: dict[str, str], kind: type[Any]) -> None:
    account = Account.from_environment(environ)
    assert isinstance(find_auth([account]), kind)
    assert Account.from_environment({"SST_CLOUD_TOKEN_FILE": ""}) == Account()


class Asked(dict[str, str]):
    """An environment that remembers the names it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


def test_secret_variables_of_the_account_are_all_listed() -> None:
    """Commands of event handlers do not get them."""
    environ = Asked()
    Account.from_environment(environ)
    others = {"SST_CLOUD_URL", "SST_CLOUD_TOKEN_FILE", "SST_CLOUD_PASSWORD_FILE"}
    assert others < environ.names
    assert len(environ.names - others) == 4
    assert environ.names - others <= SECRET_VARIABLES


async def test_files_of_the_environment(fake: FakeCloud, tmp_path: Path) -> None:
    token = secret(tmp_path, "token", fake.token)
    account = Account.from_environment({"SST_CLOUD_TOKEN_FILE": str(token)})
    assert await houses(find_auth([account]), fake) == 2
    assert fake.token not in repr(account)


async def test_saved_token_is_the_last_choice(fake: FakeCloud, tokens: TokenFile) -> None:
    here = Account(url=fake.url)
    tokens.save(fake.url, "stale")
    tokens.save("https://elsewhere.example", "another")
    assert await houses(find_auth([here, Account(token=fake.token)], tokens), fake) == 2
    auth = find_auth([here], tokens)
    async with SSTCloud(auth, base_url=fake.url) as cloud:
        with pytest.raises(TokenRejectedError):
            await cloud.houses()
        tokens.save(fake.url, fake.token)
        assert await cloud.houses()
        fake.expire_tokens()
        tokens.delete(fake.url)
        with pytest.raises(CredentialsError, match="no longer logged in to http://127"):
            await cloud.houses()
    assert tokens.load(fake.url) is None
    assert tokens.load("https://elsewhere.example") == "another"
    assert tokens.path.stat().st_mode & 0o777 == 0o600


def test_saved_token_replaces_an_incomplete_login(tokens: TokenFile) -> None:
    account = Account(url="https://cloud.example", email="me@example.com")
    tokens.save("https://cloud.example", "abc")
    assert find_auth([account], tokens) is not None


def test_config_folder_of_the_user_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TokenFile.of_user().path.name == "credentials.json"
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(SSTCloudError, match=r"pip install 'sst-cloud\[cli\]'"):
        TokenFile.of_user()


def test_damaged_token_file_is_an_error(tokens: TokenFile) -> None:
    tokens.save("https://cloud.example", "two words")
    with pytest.raises(CredentialsError, match="a token is a single word"):
        find_auth([Account(url="https://cloud.example")], tokens)
    tokens.path.write_text("{")
    with pytest.raises(SSTCloudError, match=r"credentials.json cannot be read; remove it"):
        tokens.load("https://cloud.example")


async def test_new_token_in_the_file_is_used(tmp_path: Path, fake: FakeCloud) -> None:
    file = secret(tmp_path, "token", fake.token)
    auth = find_auth([Account(token_file=file)])
    async with SSTCloud(auth, base_url=fake.url) as cloud:
        assert await cloud.houses()
        fake.expire_tokens()
        with pytest.raises(TokenRejectedError):
            await cloud.houses()
        file.write_text(fake.token)
        assert await cloud.houses()
        fake.expire_tokens()
        file.unlink()
        with pytest.raises(CredentialsError, match=f"the token cannot be read from {file}"):
            await cloud.houses()
        file.write_text("two words")
        with pytest.raises(CredentialsError, match="a token is a single word"):
            await cloud.houses()


def test_secret_given_instead_of_its_file_is_not_shown() -> None:
    with pytest.raises(CredentialsError, match="the token cannot be read from") as caught:
        read_secret(Path("0123456789abcdef" * 3), "token")
    assert "0123456789" not in str(caught.value)


def test_file_that_everyone_can_read_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = secret(tmp_path, "token", "abc")
    assert read_secret(file, "token") == "abc"
    assert caplog.text == ""
    file.chmod(0o644)
    assert read_secret(file, "token") == "abc"
    assert f"{file} is readable by everyone on this machine" in caplog.text
