# SPDX-License-Identifier: GPL-3.0-or-later
"""README.md tells the truth: its console blocks are run, in order, and must print what it says."""

import os
import re
import subprocess

from mounting import ROOT

BLOCK = re.compile(r'^```console\n(.*?)^```$', re.MULTILINE | re.DOTALL)
MARK = '--- end of command ---'


def examples():
    """[(command, expected output)]"""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    found = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith('$ '):
                found.append([line[2:], ''])
            elif line.startswith('> ') and not found[-1][1]:
                found[-1][0] += '\n' + line[2:]
            else:
                found[-1][1] += line + '\n'
    return found


def test_examples(tmp_path):
    expected = examples()
    assert len(expected) > 10
    (tmp_path / 'shelvefs').symlink_to(ROOT)
    script = 'trap "fusermount3 -q -u mnt" EXIT\n' + ''.join('%s\necho "%s"\n' % (command, MARK) for command, _ in expected)
    path = '%s:%s' % (os.path.dirname(os.environ['SHELVEFS']), os.environ['PATH'])
    done = subprocess.run(['bash', '-c', script], cwd=tmp_path, env=dict(os.environ, PATH=path, HOME=str(tmp_path)), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100, check=False)
    printed = done.stdout.split(MARK + '\n')
    for (command, output), actual in zip(expected, printed):
        assert actual == output, command
    assert len(printed) == len(expected) + 1
    assert not os.listdir(tmp_path / 'mnt')
