# SPDX-License-Identifier: GPL-3.0-or-later
"""vim and nano, by script and at a keyboard (tmux), with every way in which they write a file."""

import contextlib
import os
import subprocess

import pytest

from mounting import eventually, sh


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, socket, command, cwd):
        self.socket = str(socket)
        environment = dict(os.environ, TERM='xterm-256color', LC_ALL='C.UTF-8', HOME=str(socket.parent))
        subprocess.run(self.tmux('-f', '/dev/null', 'new-session', '-d', '-x', '90', '-y', '24', command), cwd=cwd,
                       env=environment, check=True)

    def tmux(self, *arguments):
        return ['tmux', '-S', self.socket, *arguments]

    def type(self, *keys):
        subprocess.run(self.tmux('send-keys', *keys), check=True)

    def screen(self):
        done = subprocess.run(self.tmux('capture-pane', '-p'), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False)
        return done.stdout.decode('utf-8', 'replace')

    def shows(self, text):
        eventually(lambda: text in self.screen(), 15)

    def ended(self):
        done = subprocess.run(self.tmux('has-session'), stderr=subprocess.DEVNULL, check=False)
        return done.returncode != 0


@pytest.fixture
def terminal(mount, tmp_path):
    """terminal(command): runs it in the mount's directory."""
    started = []

    def start(command):
        started.append(Terminal(tmp_path / 'tmux', command, mount.directory))
        return started[-1]

    yield start
    for made in started:
        with contextlib.suppress(subprocess.CalledProcessError):
            if not made.ended():
                subprocess.run(made.tmux('kill-server'), check=True, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize('setting', [
    'set nobackup', 'set backup', 'set backupcopy=yes', 'set backup backupcopy=no', 'set nowritebackup', 'set nofsync', 'set noswapfile'])
def test_vim_by_script(mount, database, setting):
    keys = database.keys()
    sh("vim -es -u NONE -c '%s' -c '%%s/hello/goodbye/' -c wq greeting" % setting, mount.directory)
    assert database.value('greeting') == 'goodbye'
    sh("vim -es -u NONE -c '%s' -c '%%s/3/3, 4/' -c wq list" % setting, mount.directory)
    assert database.value('list') == [1, 2, 3, 4]
    sh("vim -es -u NONE -c '%s' -c 'normal ihello' -c wq new" % setting, mount.directory)
    assert database.value('new') == 'hello'
    assert database.keys() == keys | {b'new'}
    names = set(os.listdir(mount.directory))
    assert {name for name in names if not name.endswith('~')} == {key.decode() for key in keys} | {'new'}
    assert mount.text('greeting') == 'goodbye\n'


def test_vim_leaves_the_other_values_alone(mount, database):
    before = database.records()
    # -b: else vim ends every file with a newline, also those that are bytes.
    sh("vim -b -es -u NONE -c 'argdo write' -c qa *", mount.directory)
    assert database.records() == before


def test_vim_at_the_keyboard(mount, database, terminal):
    keys = database.keys()
    vim = terminal('vim --clean greeting')
    vim.shows('hello')
    vim.type('A', ' world', 'Escape')
    vim.shows('hello world')
    assert database.keys() == keys, 'a swap file became a key'
    vim.type(':w', 'Enter')
    eventually(lambda: database.value('greeting') == 'hello world')
    vim.type('o', 'second line', 'Escape', ':wq', 'Enter')
    eventually(vim.ended)
    assert database.value('greeting') == 'hello world\nsecond line'
    assert database.keys() == keys
    assert sorted(os.listdir(mount.directory)) == sorted(key.decode() for key in keys)


def test_vim_shows_that_a_save_is_refused(mount, database, terminal):
    before = database.records()
    vim = terminal('vim --clean list')
    vim.shows('[1, 2, 3]')
    vim.type('$', 'x', ':w', 'Enter')
    eventually(lambda: 'list' in mount.control('errors'))
    vim.shows('E5')  # E512 or E667: the write failed
    vim.type('Enter', ':q!', 'Enter')
    eventually(vim.ended)
    assert database.records() == before
    assert (mount / '.shelvefs/rejected/list').read_text() == '[1, 2, 3\n'
    assert mount.text('list') == '[1, 2, 3]\n'


def test_vim_killed_leaves_the_value(mount, database, terminal):
    before = database.records()
    vim = terminal('vim --clean -c "set updatetime=100" greeting')
    vim.shows('hello')
    vim.type('A', ' never saved', 'Escape')
    vim.shows('never saved')
    subprocess.run(vim.tmux('kill-server'), check=True)
    eventually(vim.ended)
    assert database.records() == before


@pytest.mark.parametrize('options', ['', '-B', '-G'], ids=['plain', 'backup', 'lock'])
def test_nano_at_the_keyboard(mount, database, terminal, options):
    keys = database.keys()
    nano = terminal('nano --ignorercfiles %s greeting' % options)
    nano.shows('hello')
    nano.type('oh ')
    nano.shows('oh hello')
    nano.type('C-o')
    nano.shows('Write')
    nano.type('Enter')
    eventually(lambda: database.value('greeting') == 'oh hello')
    nano.type('C-x')
    eventually(nano.ended)
    assert database.keys() == keys
    assert {name for name in os.listdir(mount.directory) if not name.endswith('~')} == {key.decode() for key in keys}


def test_nano_saves_a_new_list(mount, database, terminal):
    nano = terminal('nano --ignorercfiles shopping')
    nano.shows('New File')
    nano.type("['tea', 'cake']")
    nano.type('C-x')
    nano.shows('Save modified')
    nano.type('y')
    nano.shows('Write')
    nano.type('Enter')
    eventually(nano.ended)
    assert database.value('shopping') == ['tea', 'cake']
