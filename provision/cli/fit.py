"""`provision fit`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli import options


@click.command("fit")
@click.argument("model")
@click.option("--gpu", required=True, metavar="[Nx]NAME", help="The GPUs, such as H100 or 2xH200.")
@click.option("--vllm", metavar="VERSION", help="The release of vLLM. Default: the newest that is known.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of a service of kind vllm, such as max_model_len=8192; may be repeated.",
)
@options.formats("fit")
def command(model: str, gpu: str, vllm: str | None, fields: tuple[str, ...], output: options.Output) -> None:
    """Say whether MODEL runs under vLLM on a GPU, and how many tokens it has room for.

    MODEL is the folder of a model. Needs no host and no GPU. Exit code 0 when it fits or may fit, 1 when it
    does not.
    """
    from contextlib import closing

    from provision.project import described, question
    from provision.show.foreseen import Foreseen

    chosen, version = question.gpus(gpu), question.release(vllm)
    answer = question.answer(described.folder(Path(model)), question.service(fields, chosen), chosen, version)
    with closing(output.writer()) as writer:
        writer.take(Foreseen(model, answer))
    if answer.fit.verdict == "does_not_fit":
        raise click.exceptions.Exit(1)
