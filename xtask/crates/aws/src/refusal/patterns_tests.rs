use super::super::Refusal;
use super::*;
use base::error::Fault;

#[track_caller]
fn is(stderr: &str, trouble: Trouble, code: &str) {
    let refusal = Refusal::read(stderr);
    assert_eq!((refusal.trouble, refusal.code.as_str()), (trouble, code), "{stderr}");
}

#[test]
fn what_aws_says_is_told_apart_by_its_code() {
    let says =
        |code: &str| format!("\naws: [ERROR]: An error occurred ({code}) when calling the DoIt operation: Words.\n");
    for (trouble, codes) in [
        (
            Trouble::Throttled,
            &["Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown", "TooManyRequestsException"][..],
        ),
        (Trouble::Expired, &["ExpiredToken", "ExpiredTokenException", "RequestExpired"]),
        (
            Trouble::Unknown,
            &[
                "InvalidClientTokenId",
                "UnrecognizedClientException",
                "AuthFailure",
                "SignatureDoesNotMatch",
                "InvalidAccessKeyId",
            ],
        ),
        (
            Trouble::Denied,
            &["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "AuthorizationErrorException"],
        ),
        (
            Trouble::InUse,
            &[
                "DependencyViolation",
                "ResourceInUseException",
                "InvalidNetworkInterface.InUse",
                "DeleteConflict",
                "BucketNotEmpty",
                "RepositoryNotEmptyException",
            ],
        ),
        (
            Trouble::Conflict,
            &[
                "PreconditionFailed",
                "ConditionalRequestConflict",
                "EntityAlreadyExists",
                "BucketAlreadyOwnedByYou",
                "InvalidPermission.Duplicate",
            ],
        ),
        (
            Trouble::Absent,
            &[
                "404",
                "NoSuchBucket",
                "NoSuchEntity",
                "InvalidVpcID.NotFound",
                "ResourceNotFoundException",
                "LoadBalancerNotFound",
                "AWS.SimpleQueueService.NonExistentQueue",
                "NotFoundException",
                "QueueDoesNotExist",
                "ReplicationGroupNotFoundFault",
            ],
        ),
        (
            Trouble::Unanswered,
            &["InternalError", "ServiceUnavailable", "500", "503", "InternalServerException", "ServerException"],
        ),
        (Trouble::Other, &["ValidationError", "InvalidParameterException", "OperationNotPermitted", "LimitExceeded"]),
    ] {
        codes.iter().for_each(|code| is(&says(code), trouble, code));
    }
}

#[test]
fn what_the_cli_says_by_itself_is_told_apart() {
    for (trouble, words) in [
        (Trouble::Unknown, "Unable to locate credentials. You can configure credentials by running \"aws configure\"."),
        (Trouble::Unknown, "The config profile (nope) could not be found"),
        (Trouble::Unknown, "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY"),
        (Trouble::Expired, "Error when retrieving token from sso: Token has expired and refresh failed"),
        (
            Trouble::Expired,
            "The SSO session associated with this profile has expired or is otherwise invalid. To refresh",
        ),
        (Trouble::Expired, "Error loading SSO Token: Token for work does not exist"),
        (Trouble::Unanswered, "Could not connect to the endpoint URL: \"http://127.0.0.1:9/\""),
        (Trouble::Unanswered, "Connect timeout on endpoint URL: \"https://sts.eu-west-1.amazonaws.com/\""),
        (Trouble::Unanswered, "Read timeout on endpoint URL: \"https://sts.eu-west-1.amazonaws.com/\""),
        (Trouble::Unanswered, "Connection was closed before we received a valid response from endpoint URL: \"x\"."),
        (Trouble::Other, "You must specify a region."),
    ] {
        is(&format!("\n{words}\n"), trouble, "");
        assert_eq!(Refusal::read(&format!("\naws: [ERROR]: {words}\n")).message, words);
    }
}

#[test]
fn a_session_that_has_ended_is_not_a_right_that_is_missing() {
    let words = "An error occurred (UnauthorizedException) when calling the GetRoleCredentials operation: Session token \
                 not found or invalid";
    is(words, Trouble::Expired, "UnauthorizedException");
}

#[test]
fn what_is_there_already_is_a_conflict_whatever_it_is_called() {
    let words = "An error occurred (ResourceInUseException) when calling the CreateCluster operation: Cluster already \
                 exists with name: x";
    is(words, Trouble::Conflict, "ResourceInUseException");
}

#[test]
fn only_awss_words_are_left() {
    let retried =
        "\nAn error occurred (404) when calling the HeadBucket operation (reached max retries: 0): Not Found\n";
    assert_eq!(Refusal::read(retried).message, "Not Found");
    let more = "\naws: [ERROR]: An error occurred (NoSuchBucket) when calling the GetObject operation: It is\nnot there\n\n\
                Additional error details:\nBucketName: x\n";
    assert_eq!(Refusal::read(more).message, "It is not there");
    let wrong =
        "usage: aws [options]\n\naws: error: argument command: Invalid choice, valid choices are:\n\nec2 | eks\n";
    assert_eq!(Refusal::read(wrong).message, "argument command: Invalid choice, valid choices are:");
    assert_eq!(Refusal::read("").message, "it said nothing");
}

#[test]
fn a_denial_names_the_action_that_is_missing() {
    let words = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: ec2:DescribeVpcs because no \
                 identity-based policy allows the ec2:DescribeVpcs action";
    let stderr = format!("An error occurred (UnauthorizedOperation) when calling the DescribeVpcs operation: {words}");
    let fault = Refusal::read(&stderr).fault("look at the VPCs");
    assert_eq!((fault.code, fault.exit.code()), ("aws-denied", 1));
    assert!(fault.hint.unwrap().contains("`ec2:DescribeVpcs`"));

    let number = "An error occurred (403) when calling the HeadBucket operation: Forbidden";
    let call = super::super::Call { service: "s3api".to_owned(), ..Default::default() };
    let fault = Refusal::read(number).of(call).fault("look for the bucket `b`");
    assert_eq!(fault.cause, "look for the bucket `b`: `s3:ListBucket` is refused: Forbidden (403)");
}

#[test]
fn without_credentials_nothing_was_tried_and_the_profile_is_named() {
    let call = || super::super::Call { profile: Some("work".to_owned()), ..Default::default() };
    let fault = Refusal::read("Unable to locate credentials").of(call()).fault("ask who we are");
    assert_eq!((fault.code, fault.exit.code()), ("aws-credentials", 3));
    assert!(fault.hint.unwrap().contains("aws sso login --profile work"));
    let ended = "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: It has expired";
    let fault = Refusal::read(ended).of(call()).fault("ask who we are");
    assert_eq!((fault.code, fault.exit.code()), ("aws-credentials-expired", 3));
    assert_eq!(fault.cause, "the credentials have expired: ask who we are: It has expired (ExpiredToken)");
}

#[test]
fn what_did_not_start_keeps_its_own_fault() {
    let missing = anyhow::Error::from(Fault::could_not_run("tool-missing", "`aws` is not there").hint("doctor"));
    let fault = Refusal::unstarted(&missing).fault("ask who we are");
    assert_eq!((fault.code, fault.exit.code()), ("tool-missing", 3));
    assert_eq!((fault.cause.as_str(), fault.hint.as_deref()), ("ask who we are: `aws` is not there", Some("doctor")));
}
