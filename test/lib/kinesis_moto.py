#!/usr/bin/env python3
"""kinesis_moto.py PORT: moto's Kinesis, which verifies signatures, with a stream
"shop" of four shards; prints the key and its secret once it is there.

kinesis_moto.py PORT KEY SECRET: what the stream has, by boto3: a JSON object a
line, with shard, key and data, in the order of each shard, parents before children.

kinesis_moto.py PORT KEY SECRET create N: a stream "shop" of so many shards, on any server.

kinesis_moto.py PORT KEY SECRET reshard SEED: splits one of its shards, or merges two, and
waits until it is done.
"""
import json
import os
import random
import sys
import time

# these first requests are let through: they make the user
os.environ['INITIAL_NO_AUTH_ACTION_COUNT'] = '3'

import boto3

address = 'http://127.0.0.1:' + sys.argv[1]


def client(service, key, secret):
    return boto3.client(service, endpoint_url=address, aws_access_key_id=key,
                        aws_secret_access_key=secret, region_name='eu-north-1')


def wait(kinesis):
    while kinesis.describe_stream_summary(StreamName='shop')['StreamDescriptionSummary']['StreamStatus'] != 'ACTIVE':
        time.sleep(0.1)


def create(kinesis, count):
    kinesis.create_stream(StreamName='shop', ShardCount=int(count))
    wait(kinesis)


def reshard(kinesis, seed):
    dice = random.Random(int(seed))
    open_shards = sorted(
        ((int(shard['HashKeyRange']['StartingHashKey']), int(shard['HashKeyRange']['EndingHashKey']), shard['ShardId'])
         for shard in kinesis.list_shards(StreamName='shop')['Shards']
         if 'EndingSequenceNumber' not in shard['SequenceNumberRange']))
    at = dice.randrange(len(open_shards))
    if len(open_shards) > 1 and at > 0 and (len(open_shards) >= 6 or dice.randrange(2)):
        kinesis.merge_shards(StreamName='shop', ShardToMerge=open_shards[at - 1][2],
                             AdjacentShardToMerge=open_shards[at][2])
    else:
        first, last, name = open_shards[at]
        kinesis.split_shard(StreamName='shop', ShardToSplit=name, NewStartingHashKey=str((first + last) // 2))
    wait(kinesis)


def serve():
    from moto.server import ThreadedMotoServer
    ThreadedMotoServer(ip_address='127.0.0.1', port=int(sys.argv[1]), verbose=False).start()
    iam = client('iam', 'x', 'x')
    iam.create_user(UserName='test')
    key = iam.create_access_key(UserName='test')['AccessKey']
    iam.put_user_policy(UserName='test', PolicyName='all', PolicyDocument=json.dumps({
        'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}]}))
    kinesis = client('kinesis', key['AccessKeyId'], key['SecretAccessKey'])
    create(kinesis, 4)
    print(key['AccessKeyId'], key['SecretAccessKey'], flush=True)
    while True:
        time.sleep(60)


def read(kinesis):
    for shard in kinesis.list_shards(StreamName='shop')['Shards']:
        place = kinesis.get_shard_iterator(StreamName='shop', ShardId=shard['ShardId'],
                                           ShardIteratorType='TRIM_HORIZON')['ShardIterator']
        while place:
            answer = kinesis.get_records(ShardIterator=place)
            for record in answer['Records']:
                print(json.dumps({'shard': shard['ShardId'], 'key': record['PartitionKey'],
                                  'data': record['Data'].decode()}))
            place = answer.get('NextShardIterator')
            if not answer['Records'] and not answer.get('MillisBehindLatest'):
                break


if len(sys.argv) == 2:
    serve()
else:
    command = {'read': read, 'create': create, 'reshard': reshard}[sys.argv[4] if len(sys.argv) > 4 else 'read']
    command(client('kinesis', sys.argv[2], sys.argv[3]), *sys.argv[5:])
