//! Signature version 4, by AWS's own crate.
//!
//! Never signs what is not sent: the headers that are signed are those of the request.

use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::crypto::root_key::SourceError;
use crate::net::outbound::{Endpoint, Request};

/// The request with its signature.
pub(super) fn signed(
    request: Request,
    endpoint: &Endpoint,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: SystemTime,
) -> Result<Request, SourceError> {
    signed_as(request, endpoint, credentials, (region, service), now, SigningSettings::default())
}

/// As S3 has it: its names are not encoded twice, and what is sent is named by its digest.
pub(super) fn signed_for_s3(
    request: Request,
    endpoint: &Endpoint,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Result<Request, SourceError> {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    signed_as(request, endpoint, credentials, (region, "s3"), now, settings)
}

fn signed_as(
    request: Request,
    endpoint: &Endpoint,
    credentials: &Credentials,
    (region, service): (&str, &str),
    now: SystemTime,
    settings: SigningSettings,
) -> Result<Request, SourceError> {
    let unsigned = || {
        SourceError::unusable(
            "the credentials cannot be used for a signature",
            "see that they have no blanks or other characters that no credential has",
        )
    };
    let identity = credentials.keys.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|_| unsigned())?
        .into();
    let (method, path) = request.target();
    let address = format!("{endpoint}{path}");
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(method, address, request.headers(), body).map_err(|_| unsigned())?;
    let (instructions, _) = sign(signable, &parameters).map_err(|_| unsigned())?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.iter().fold(request, |request, header| {
        request.with_header(header.name(), Zeroizing::new(header.value().to_owned()))
    }))
}
