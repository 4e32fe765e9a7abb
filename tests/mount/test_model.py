# SPDX-License-Identifier: GPL-3.0-or-later
"""Random operations by two processes on a mount and on a plain directory, with unmounting and kill -9 in between.

SHELVEFS_OPERATIONS is how many; another SHELVEFS_SEED is another walk.
"""

import ast
import os
import pickle
import random

import pytest

from mounting import file_name
from walk import COMPANIONS, Difference, Walk

OPERATIONS = int(os.environ.get('SHELVEFS_OPERATIONS', '2000'))
SEED = int(os.environ.get('SHELVEFS_SEED', '1'))


def meant(text):
    """The value of a text that is a literal or a plain word."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text.removesuffix('\n')


def compare_database(database, walk):
    """What another program finds is what the files show."""
    records = {os.fsdecode(file_name(key)): value for key, value in database.records().items()}
    assert set(walk.files) - set(records) <= set(COMPANIONS) and not set(records) - set(walk.files)
    for name, value in records.items():
        content = walk.content(name)
        if walk.texts:
            assert pickle.loads(value) == meant(content.decode()), name
        else:
            if value != content:
                raise Difference('%r is stored otherwise than shown, after\n%s' % (name, '\n'.join(walk.trail)))


@pytest.mark.parametrize('codec', ['raw', 'pickle'])
def test_random_operations(new_database, mounter, tmp_path, codec):
    database = new_database().create()
    mount = mounter(database, 'codec=' + codec)
    model = tmp_path / 'model'
    model.mkdir()
    generator = random.Random(SEED)
    walk = Walk(mount, model, generator, codec == 'pickle')
    kills = remounts = 0
    try:
        for _ in range(OPERATIONS):
            event = generator.random()
            if event < 1 / 400:
                walk.trail.append('kill')
                mount.kill()
                mount.start()
                walk.after_crash()
                kills += 1
            elif event < 1 / 200:
                walk.close_all()
                walk.trail.append('unmount')
                assert mount.stop() == []
                compare_database(database, walk)
                mount.start()
                walk.compare()
                remounts += 1
            else:
                walk.step()
        walk.close_all()
        walk.compare()
        assert mount.stop() == []
        compare_database(database, walk)
        database.verify()
    except (AssertionError, Difference) as error:
        raise AssertionError('SHELVEFS_SEED=%d: %s' % (SEED, error)) from error
    finally:
        walk.end()
    print('%s, %s: %d operations, %d kills, %d remounts, seed %d' % (database.engine, codec, OPERATIONS, kills, remounts, SEED))
