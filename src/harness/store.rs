//! A thin client of S3 stores: what passmuster needs of them, with errors told apart.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// What a store's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreProblem {
    /// A definite "there is no such object": the only one that may end a recovery's search.
    NotFound,
    /// A conditional write met an object that is there already.
    Exists,
    /// The credentials may not do this.
    Denied,
    /// No answer, or one that says to try later.
    Unavailable,
    /// Anything else.
    Other,
}

/// An error of the store.
#[derive(Debug, Clone, Error)]
#[error("{operation} {place}: {message}")]
pub struct StoreError {
    /// What was asked.
    pub operation: &'static str,
    /// Of which bucket or object.
    pub place: String,
    /// What it means.
    pub problem: StoreProblem,
    /// The store's words.
    pub message: String,
}

/// Where a store is and how it is entered.
#[derive(Clone)]
pub struct Endpoint {
    /// `http://127.0.0.1:9000`
    pub url: String,
    /// Access key id.
    pub access_key: String,
    /// Secret key; masked everywhere.
    pub secret_key: String,
    /// Region, for signatures.
    pub region: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.url)
    }
}

/// A bucket of a store.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    /// Its name.
    pub name: String,
}

/// An object as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Key.
    pub key: String,
    /// Bytes as stored.
    pub bytes: u64,
    /// Last modification, seconds since 1970, as the store says.
    pub modified: i64,
}

/// Result of a store operation.
pub type Stored<T> = Result<T, StoreError>;

/// Connects to a store. Nothing is sent yet.
pub fn client(endpoint: &Endpoint) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&endpoint.url)
        .region(Region::new(endpoint.region.clone()))
        .credentials_provider(Credentials::new(&endpoint.access_key, &endpoint.secret_key, None, None, "passmuster"))
        .force_path_style(true)
        // What is stored carries hashes of our own; a second checksum would only cost time.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(3)).read_timeout(Duration::from_secs(30)).build())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

fn explain<E, R>(operation: &'static str, place: String) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug,
    SdkError<E, R>: HttpStatus,
{
    move |e| {
        let status = e.status();
        let code = match &e {
            SdkError::ServiceError(s) => s.err().code().unwrap_or("").to_string(),
            _ => String::new(),
        };
        let problem = match (&e, code.as_str(), status) {
            (SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_), ..) => StoreProblem::Unavailable,
            (_, "NoSuchKey" | "NotFound" | "NoSuchBucket" | "NoSuchVersion", _) => StoreProblem::NotFound,
            (_, "PreconditionFailed" | "ConditionalRequestConflict", _) | (_, _, Some(412)) => StoreProblem::Exists,
            (_, "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch", _) | (_, _, Some(403)) => StoreProblem::Denied,
            (_, _, Some(404)) => StoreProblem::NotFound,
            (_, _, Some(500..=599)) | (_, "SlowDown", _) => StoreProblem::Unavailable,
            _ => StoreProblem::Other,
        };
        let mut message = match &e {
            SdkError::ServiceError(s) => {
                let words = s.err().message().unwrap_or("").to_string();
                if words.is_empty() { code.clone() } else { format!("{code}: {words}") }
            }
            other => {
                let mut text = other.to_string();
                let mut source = std::error::Error::source(other);
                while let Some(inner) = source {
                    text.push_str(&format!(": {inner}"));
                    source = inner.source();
                }
                text
            }
        };
        if message.is_empty() {
            message = status.map_or("no answer".into(), |s| format!("HTTP {s}"));
        }
        StoreError { operation, place, problem, message }
    }
}

/// The HTTP status of an answer, if there was one.
pub trait HttpStatus {
    /// The status.
    fn status(&self) -> Option<u16>;
}

impl<E> HttpStatus for SdkError<E, aws_sdk_s3::config::http::HttpResponse> {
    fn status(&self) -> Option<u16> {
        self.raw_response().map(|r| r.status().as_u16())
    }
}

impl Bucket {
    /// A bucket by name; it is not asked whether it exists.
    pub fn new(client: Client, name: &str) -> Bucket {
        Bucket { client, name: name.into() }
    }

    fn place(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }

    /// Makes the bucket; one of ours that is there already is no error.
    pub async fn create(&self) -> Stored<()> {
        match self.client.create_bucket().bucket(&self.name).send().await {
            Ok(_) => Ok(()),
            Err(e) => match e.as_service_error().and_then(|s| s.code()) {
                Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists") => Ok(()),
                _ => Err(explain("create", self.name.clone())(e)),
            },
        }
    }

    /// Turns versioning on. `Ok(false)`: the store has none.
    pub async fn enable_versioning(&self) -> Stored<bool> {
        use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
        let config = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        match self.client.put_bucket_versioning().bucket(&self.name).versioning_configuration(config).send().await {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.as_service_error().and_then(|s| s.code()), Some("NotImplemented" | "MethodNotAllowed")) => Ok(false),
            Err(e) => Err(explain("enable versioning of", self.name.clone())(e)),
        }
    }

    /// Whether the store says that it keeps versions in this bucket.
    pub async fn keeps_versions(&self) -> Stored<bool> {
        use aws_sdk_s3::types::BucketVersioningStatus;
        let out = self.client.get_bucket_versioning().bucket(&self.name).send().await.map_err(explain("ask for versions of", self.name.clone()))?;
        Ok(out.status() == Some(&BucketVersioningStatus::Enabled))
    }

    /// Stores an object in one request. Returns its version id, if the store has versions.
    pub async fn put(&self, key: &str, body: Bytes, only_new: bool) -> Stored<Option<String>> {
        let mut request = self.client.put_object().bucket(&self.name).key(key).body(ByteStream::from(body));
        if only_new {
            request = request.if_none_match("*");
        }
        let out = request.send().await.map_err(explain("store", self.place(key)))?;
        Ok(out.version_id().filter(|v| *v != "null").map(String::from))
    }

    /// Begins an object in parts.
    pub async fn begin(&self, key: &str) -> Stored<Upload> {
        let out = self.client.create_multipart_upload().bucket(&self.name).key(key).send().await.map_err(explain("begin", self.place(key)))?;
        let id = out.upload_id().unwrap_or_default().to_string();
        Ok(Upload { bucket: self.clone(), key: key.into(), id, parts: Vec::new() })
    }

    /// An object's bytes as a stream, with their number.
    pub async fn get(&self, key: &str) -> Stored<(ByteStream, u64)> {
        let out = self.client.get_object().bucket(&self.name).key(key).send().await.map_err(explain("read", self.place(key)))?;
        let bytes = out.content_length().unwrap_or(0).max(0) as u64;
        Ok((out.body, bytes))
    }

    /// A whole object in memory, for small ones.
    pub async fn read(&self, key: &str) -> Stored<Bytes> {
        let (body, _) = self.get(key).await?;
        body.collect().await.map(|b| b.into_bytes()).map_err(|e| StoreError {
            operation: "read",
            place: self.place(key),
            problem: StoreProblem::Unavailable,
            message: e.to_string(),
        })
    }

    /// The first bytes of an object.
    pub async fn head_bytes(&self, key: &str, count: u64) -> Stored<Bytes> {
        let range = format!("bytes=0-{}", count.saturating_sub(1));
        let out = self.client.get_object().bucket(&self.name).key(key).range(range).send().await.map_err(explain("read", self.place(key)))?;
        out.body.collect().await.map(|b| b.into_bytes()).map_err(|e| StoreError {
            operation: "read",
            place: self.place(key),
            problem: StoreProblem::Unavailable,
            message: e.to_string(),
        })
    }

    /// Every object under a prefix, sorted by key.
    pub async fn list(&self, prefix: &str) -> Stored<Vec<Listed>> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).set_continuation_token(token);
            let out = request.send().await.map_err(explain("list", self.place(prefix)))?;
            for o in out.contents() {
                all.push(Listed {
                    key: o.key().unwrap_or_default().to_string(),
                    bytes: o.size().unwrap_or(0).max(0) as u64,
                    modified: o.last_modified().map_or(0, |t| t.secs()),
                });
            }
            token = out.next_continuation_token().map(String::from);
            if token.is_none() {
                break;
            }
        }
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(all)
    }

    /// Removes an object.
    pub async fn delete(&self, key: &str) -> Stored<()> {
        self.client.delete_object().bucket(&self.name).key(key).send().await.map_err(explain("delete", self.place(key)))?;
        Ok(())
    }
}

/// An object being stored in parts.
pub struct Upload {
    bucket: Bucket,
    key: String,
    id: String,
    parts: Vec<CompletedPart>,
}

impl Upload {
    /// Stores the next part (at least 5 MiB, the last one excepted).
    pub async fn part(&mut self, body: Bytes) -> Stored<()> {
        let number = self.parts.len() as i32 + 1;
        let b = &self.bucket;
        let request = b.client.upload_part().bucket(&b.name).key(&self.key).upload_id(&self.id).part_number(number);
        let out = request.body(ByteStream::from(body)).send().await.map_err(explain("store a part of", b.place(&self.key)))?;
        self.parts.push(CompletedPart::builder().part_number(number).set_e_tag(out.e_tag().map(String::from)).build());
        Ok(())
    }

    /// Makes the object whole.
    pub async fn complete(self) -> Stored<()> {
        let b = &self.bucket;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts)).build();
        let request = b.client.complete_multipart_upload().bucket(&b.name).key(&self.key).upload_id(&self.id).multipart_upload(parts);
        request.send().await.map_err(explain("complete", b.place(&self.key)))?;
        Ok(())
    }

    /// Gives the object up.
    pub async fn abort(self) {
        let b = &self.bucket;
        let _ = b.client.abort_multipart_upload().bucket(&b.name).key(&self.key).upload_id(&self.id).send().await;
    }
}
