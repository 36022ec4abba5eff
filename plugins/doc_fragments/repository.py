# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name a repository; mirrors repository/options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Where backups are, and how S3 is reached."""

    DOCUMENTATION = r"""
options:
  repository:
    description:
      - Where the backups are, C(file:///folder) or C(s3://bucket/prefix).
      - It holds no credentials.
    type: str
    required: true
  s3:
    description:
      - How S3 is reached, where O(repository) is in S3.
      - What is left out comes from where the AWS tools take it, the environment
        (E(AWS_ACCESS_KEY_ID), E(AWS_PROFILE), E(AWS_REGION), E(AWS_ENDPOINT_URL), ...), C(~/.aws),
        a web identity or the instance's role.
    type: dict
    suboptions:
      endpoint_url:
        description: The server, where it is not AWS, such as C(https://minio.example.com:9000).
        type: str
      region:
        description: The bucket's region. Without any, V(us-east-1).
        type: str
      profile:
        description: A profile of C(~/.aws).
        type: str
      access_key:
        description: Access key id; goes with O(s3.secret_key).
        type: str
      secret_key:
        description: Secret access key.
        type: str
      session_token:
        description: Token of temporary credentials.
        type: str
      path_style:
        description:
          - Whether the bucket is in the path of a request rather than in the name of the host.
          - Without it, yes where an endpoint is given here or in the environment.
        type: bool
      ca_file:
        description: File of the certificate authorities to trust, instead of the usual ones.
        type: path
      validate_certs:
        description: Whether the server's certificate must be valid.
        type: bool
        default: true
      sse:
        description:
          - Encryption on the server, V(AES256) for SSE-S3 or V(aws:kms) for SSE-KMS.
          - Without it, the bucket's own default.
        type: str
        choices: [AES256, 'aws:kms']
      kms_key_id:
        description: The key for V(aws:kms); without it, the account's own.
        type: str
      storage_class:
        description:
          - Storage class of the data, such as V(STANDARD_IA). Manifests stay in the bucket's own.
          - One that can be read at once; V(GLACIER) and V(DEEP_ARCHIVE) cannot.
        type: str
      connect_timeout_s:
        description:
          - Seconds to connect, and to send a part of an object, which is 5 MiB or more.
          - With the default, a line of 1.5 Mbit/s for each of four parts is enough.
        type: float
        default: 30.0
      read_timeout_s:
        description: Seconds to wait for an answer, or for its next bytes.
        type: float
        default: 30.0
      max_attempts:
        description: How often a request is made in all before it has failed; pauses grow.
        type: int
        default: 5
requirements:
  - boto3 >= 1.36, for a repository in S3
"""
