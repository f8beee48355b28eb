"""s3_client.py COMMAND [ARGUMENT...]: what boto3 sees of the store that the
environment names: S3_ENDPOINT, S3_KEY, S3_SECRET, S3_BUCKET.

	make-bucket        makes it
	list [PREFIX]      "size key" of each object
	uploads            the keys of unfinished multipart uploads
	upload-ids         the same, each with its id
	cat KEY            an object's bytes
	parts PREFIX       those of all part files below it, in turn
	audit PREFIX       the keys and unfinished uploads below it, and the SHA-256 of
	                   the sorted lines of part files, as JSON
	head KEY           what it is beside them, as JSON
	tags KEY           its tags, as JSON
	put KEY TEXT       an object
	put-crc32c KEY TEXT  one whose CRC-32C the store is told
	save PREFIX DIR    copies all objects below it into files
	begin KEY          an upload that nobody ends; its id
	delete KEY
	rotate             exchanges moto's key: prints the new one and its secret
	iam                makes moto ask for signatures: prints a key and its secret
"""
import base64
import hashlib
import json
import os
import sys

import boto3
from botocore.config import Config


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def client(service):
    return boto3.client(
        service,
        endpoint_url=os.environ["S3_ENDPOINT"],
        aws_access_key_id=os.environ.get("S3_KEY", "x"),
        aws_secret_access_key=os.environ.get("S3_SECRET", "x"),
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5}),
    )


def pages(s3, bucket, prefix):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def main(command, *arguments):
    if command == "iam":
        iam = client("iam")
        iam.create_user(UserName="test")
        key = iam.create_access_key(UserName="test")["AccessKey"]
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [everything]}
        iam.put_user_policy(UserName="test", PolicyName="all", PolicyDocument=json.dumps(policy))
        print(key["AccessKeyId"], key["SecretAccessKey"])
        return
    if command == "rotate":
        iam = client("iam")
        key = iam.create_access_key(UserName="test")["AccessKey"]
        iam.delete_access_key(UserName="test", AccessKeyId=os.environ["S3_KEY"])
        print(key["AccessKeyId"], key["SecretAccessKey"])
        return
    s3 = client("s3")
    bucket = os.environ["S3_BUCKET"]
    if command == "make-bucket":
        s3.create_bucket(Bucket=bucket)
    elif command == "list":
        for item in pages(s3, bucket, arguments[0] if arguments else ""):
            print(item["Size"], item["Key"])
    elif command == "uploads":
        for item in s3.list_multipart_uploads(Bucket=bucket).get("Uploads") or []:
            print(item["Key"])
    elif command == "upload-ids":
        for item in s3.list_multipart_uploads(Bucket=bucket).get("Uploads") or []:
            print(item["Key"], item["UploadId"])
    elif command == "save":
        prefix, directory = arguments
        for item in pages(s3, bucket, prefix):
            path = os.path.join(directory, item["Key"][len(prefix):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            s3.download_file(bucket, item["Key"], path)
    elif command in ("cat", "parts"):
        keys = arguments
        if command == "parts":
            keys = [item["Key"] for item in pages(s3, bucket, arguments[0])]
            keys = [key for key in keys if "/part-" in key]
        for key in keys:
            for piece in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
                sys.stdout.buffer.write(piece)
    elif command == "audit":
        keys = [item["Key"] for item in pages(s3, bucket, arguments[0])]
        lines = []
        for key in keys:
            if "/part-" in key:
                lines += s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()
        uploads = s3.list_multipart_uploads(Bucket=bucket, Prefix=arguments[0]).get("Uploads") or []
        print(json.dumps({
            "keys": keys,
            "uploads": [item["Key"] for item in uploads],
            "lines": hashlib.sha256(b"\n".join(sorted(lines))).hexdigest(),
        }))
    elif command == "tags":
        print(json.dumps(s3.get_object_tagging(Bucket=bucket, Key=arguments[0])["TagSet"]))
    elif command == "head":
        answer = s3.head_object(Bucket=bucket, Key=arguments[0], ChecksumMode="ENABLED")
        answer.pop("ResponseMetadata")
        print(json.dumps(answer, default=str))
    elif command == "put":
        s3.put_object(Bucket=bucket, Key=arguments[0], Body=arguments[1].encode())
    elif command == "put-crc32c":
        body = arguments[1].encode()
        s3.put_object(Bucket=bucket, Key=arguments[0], Body=body, ChecksumCRC32C=crc32c(body))
    elif command == "begin":
        print(s3.create_multipart_upload(Bucket=bucket, Key=arguments[0])["UploadId"])
    elif command == "delete":
        s3.delete_object(Bucket=bucket, Key=arguments[0])
    else:
        sys.exit(f"unknown command {command}")


main(*sys.argv[1:])
