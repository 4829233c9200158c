"""The template as CloudFormation gets it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parents[3] / "examples/lambda_timestream/template.yaml"

pytestmark = pytest.mark.source


class _NoManagedPolicies:
    def load(self) -> Mapping[str, str]:
        raise AssertionError("the function has a role of its own, and no managed policy")


@pytest.fixture(scope="module")
def template() -> Any:
    return yaml_parse(TEMPLATE.read_text())


@pytest.fixture(scope="module")
def resources(template: Any) -> Any:
    """The resources after the translation that AWS does at deployment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        source = yaml_parse(TEMPLATE.read_text())
        source["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/lambda.zip"
        return transform(source, {}, _NoManagedPolicies())["Resources"]


def only_resource(resources: Any, type_: str) -> Any:
    (resource,) = [each for each in resources.values() if each["Type"] == type_]
    return resource["Properties"]


def statements(role: Any) -> Iterator[Any]:
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def test_template_passes_the_linter() -> None:
    linter = shutil.which("cfn-lint", path=str(Path(sys.executable).parent))
    assert linter is not None
    done = subprocess.run([linter, TEMPLATE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_function_runs_what_make_lambda_builds(template: Any, resources: Any) -> None:
    function = only_resource(resources, "AWS::Lambda::Function")
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == "handler.handler"
    assert function["Timeout"] >= 60
    code = template["Resources"]["Function"]["Properties"]["CodeUri"]
    assert (TEMPLATE.parent / code).resolve() == TEMPLATE.parents[2] / "dist/lambda.zip"


def test_function_keeps_the_environment_of_existing_deployments(resources: Any) -> None:
    variables = only_resource(resources, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["DATABASE_NAME"] == {"Ref": "DatabaseName"}
    assert variables["TABLE_NAME"] == {"Ref": "TableName"}
    assert variables["LOCATION"] == {"Ref": "Location"}
    assert variables["HOUSE_ID"] == {"Ref": "HouseId"}


def test_token_is_a_secret(template: Any, resources: Any) -> None:
    assert template["Parameters"]["SstCloudToken"]["NoEcho"] is True
    secret = only_resource(resources, "AWS::SecretsManager::Secret")
    assert secret["SecretString"] == {"Ref": "SstCloudToken"}
    variables = only_resource(resources, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["SST_CLOUD_TOKEN"] == {
        "Fn::If": ["StoreToken", {"Ref": "Token"}, {"Ref": "SstCloudTokenArn"}]
    }
    assert "{'Ref': 'SstCloudToken'}" not in str(variables)


def holds(condition: Any, parameters: Mapping[str, str], conditions: Any) -> Any:
    """What CloudFormation makes of a condition, or of a value in one."""
    if not isinstance(condition, Mapping):
        return condition
    ((name, value),) = condition.items()
    if name == "Ref":
        return parameters[value]
    if name == "Condition":
        return holds(conditions[value], parameters, conditions)
    values = [holds(each, parameters, conditions) for each in value]
    return {"Fn::Equals": len(set(values)) == 1, "Fn::And": all(values), "Fn::Or": any(values)}.get(
        name, not values[0]
    )


@pytest.mark.parametrize(
    ("token", "arn", "source", "outcome"),
    [
        ("abc", "", "", (True, True, True)),
        ("unset", "arn:aws:ssm:…", "", (True, False, True)),
        ("unset", "", "", (False, False, False)),
        ("unset", "", "gateway:example.org", (True, False, False)),
        ("abc", "", "gateway:example.org cloud:", (True, True, True)),
    ],
)
def test_token_is_needed_unless_another_source_is_named(
    template: Any, token: str, arn: str, source: str, outcome: tuple[bool, bool, bool]
) -> None:
    """Whether the parameters are accepted, the token is stored, and the function may read it."""
    parameters = {"SstCloudToken": token, "SstCloudTokenArn": arn, "Source": source}
    conditions = template["Conditions"]
    (rule,) = template["Rules"]["TokenIsGiven"]["Assertions"]
    (policy,) = template["Resources"]["FunctionRole"]["Properties"]["Policies"]
    (right,) = [each for each in policy["PolicyDocument"]["Statement"] if "GetSecret" in str(each)]
    assert template["Resources"]["Token"]["Condition"] == "StoreToken"
    assert outcome == (
        holds(rule["Assert"], parameters, conditions),
        holds(conditions["StoreToken"], parameters, conditions),
        holds(conditions[right["Fn::If"][0]], parameters, conditions),
    )


def test_function_reads_the_chosen_source(resources: Any) -> None:
    variables = only_resource(resources, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["SOURCE"] == {"Ref": "Source"}


def test_schedule_retries_and_keeps_missed_starts(template: Any, resources: Any) -> None:
    schedule = only_resource(resources, "AWS::Scheduler::Schedule")
    assert template["Parameters"]["Schedule"]["Default"] == "rate(20 minutes)"
    assert schedule["ScheduleExpression"] == {"Ref": "Schedule"}
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["Function", "Arn"]}
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert schedule["Target"]["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["MissedStarts", "Arn"]}


def test_failed_runs_are_retried_and_kept(resources: Any) -> None:
    invoke = only_resource(resources, "AWS::Lambda::EventInvokeConfig")
    assert invoke["MaximumRetryAttempts"] == 2
    failed = invoke["DestinationConfig"]["OnFailure"]
    assert failed["Destination"] == {"Fn::GetAtt": ["FailedRuns", "Arn"]}
    for queue in ("FailedRuns", "MissedStarts"):
        assert resources[queue]["Type"] == "AWS::SQS::Queue"
        assert resources[queue]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_function_has_only_the_permissions_it_needs(resources: Any) -> None:
    role = resources["FunctionRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    rights = {str(each["Action"]): each["Resource"] for each in statements(role)}
    table = rights.pop("timestream:WriteRecords")["Fn::Sub"]
    assert table.endswith(":database/${DatabaseName}/table/${TableName}")
    assert rights.pop("timestream:DescribeEndpoints") == "*"
    assert rights.pop("sqs:SendMessage") == {"Fn::GetAtt": ["FailedRuns", "Arn"]}
    logs = rights.pop("['logs:CreateLogStream', 'logs:PutLogEvents']")
    assert logs == {"Fn::GetAtt": ["Logs", "Arn"]}
    (token,) = rights.values()
    assert token == {"Fn::If": ["StoreToken", {"Ref": "Token"}, {"Ref": "SstCloudTokenArn"}]}


def test_schedule_may_start_only_this_function(resources: Any) -> None:
    roles = [
        each["Properties"]
        for each in resources.values()
        if each["Type"] == "AWS::IAM::Role" and "scheduler" in str(each)
    ]
    (role,) = roles
    rights = {each["Action"]: each["Resource"] for each in statements(role)}
    assert rights == {
        "lambda:InvokeFunction": {"Fn::GetAtt": ["Function", "Arn"]},
        "sqs:SendMessage": {"Fn::GetAtt": ["MissedStarts", "Arn"]},
    }


def test_logs_are_json_and_kept_for_a_week(resources: Any) -> None:
    logging = only_resource(resources, "AWS::Lambda::Function")["LoggingConfig"]
    assert logging == {"LogFormat": "JSON", "LogGroup": {"Ref": "Logs"}}
    assert only_resource(resources, "AWS::Logs::LogGroup")["RetentionInDays"] == 7


def test_errors_trigger_an_alarm(resources: Any) -> None:
    alarm = resources["Errors"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Function"}}]
    assert alarm["AlarmActions"] == [{"Ref": "Alarms"}]


def test_two_hours_without_a_successful_run_trigger_an_alarm(resources: Any) -> None:
    alarm = resources["Silence"]["Properties"]
    periods = {each["MetricStat"]["Period"] for each in alarm["Metrics"] if "MetricStat" in each}
    (period,) = periods
    assert period * alarm["EvaluationPeriods"] == 2 * 3600
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching"
    metrics = [each for each in alarm["Metrics"] if each.get("ReturnData", True)]
    assert [each["Expression"] for each in metrics] == ["FILL(runs, 0) - FILL(errors, 0)"]
    assert alarm["AlarmActions"] == [{"Ref": "Alarms"}]


def test_table_is_created_on_request_and_kept_with_the_stack_deleted(resources: Any) -> None:
    for name in ("Database", "Table"):
        assert resources[name]["Condition"] == "CreateTimestreamTable"
        assert resources[name]["DeletionPolicy"] == "Retain"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"
    table = resources["Table"]["Properties"]
    assert table["MagneticStoreWriteProperties"] == {"EnableMagneticStoreWrites": True}
