"""The AWS CLI with its imports done once.

Two thirds of what a short question to AWS costs a processor are the imports of the CLI, and the tests of what is deployed
there ask thousands. `serve SOCKET`, run with the CLI's own Python, imports it and forks for each call; `call SOCKET PROGRAM
ARGUMENT...` hands one over with its arguments, environment, folder and standard streams, and ends as it ends. What answers
is the CLI's own code in a process of its own. Where nobody serves, a call starts PROGRAM, which is the CLI.
"""

import json
import os
import signal
import socket
import sys

# A call's arguments and environment are longer than one message, and shorter than this many bytes at a time.
CHUNK = 1 << 16


def call(path, program, args):
    # A signal ends this as it ends the CLI, and the server's process notices.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(path)
    except OSError:
        os.execv(program, [program, *args])
    question = json.dumps({"args": args, "env": dict(os.environ), "dir": os.getcwd()}).encode() + b"\n"
    socket.send_fds(server, [question[:1]], [0, 1, 2])
    server.sendall(question[1:])
    answer = server.recv(CHUNK)
    # A process that ends without an answer has failed.
    os._exit(int(answer) if answer else 255)


def serve(path):
    import gc

    import awscli.clidriver
    import awscli.handlers  # noqa: F401 what every call loads

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    # What is never looked at again is never copied.
    gc.collect()
    gc.freeze()
    # Nobody waits for the processes.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            answer(client, awscli.clidriver)
        client.close()


def answer(client, clidriver):
    import threading

    question, streams, _, _ = socket.recv_fds(client, CHUNK, 3)
    while not question.endswith(b"\n"):
        more = client.recv(CHUNK)
        if not more:
            os._exit(255)
        question += more
    question = json.loads(question)
    for stream, handed in enumerate(streams):
        os.dup2(handed, stream)
        os.close(handed)
    # Where the CLI has its own data is set when it is imported.
    data = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(question["env"])
    os.environ.setdefault("AWS_DATA_PATH", data)
    os.chdir(question["dir"])
    # Who asks says nothing more: this returns once they are gone.
    threading.Thread(target=lambda: (client.recv(1), os._exit(255)), daemon=True).start()
    try:
        code = clidriver.create_clidriver().main(question["args"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        print(error, file=sys.stderr)
        code = 255
    sys.stdout.flush()
    sys.stderr.flush()
    client.sendall(str(code or 0).encode())
    os._exit(0)


match sys.argv[1:]:
    case ["serve", socket_path]:
        serve(socket_path)
    case ["call", socket_path, program, *args]:
        call(socket_path, program, args)
    case _:
        sys.exit("usage: resident-aws.py serve SOCKET | call SOCKET PROGRAM [ARGUMENT...]")
