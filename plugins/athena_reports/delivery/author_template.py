"""An author's Jinja template of the HTML part of a mail, in the folder of the SQL files."""

from athena_reports.delivery.channels import MailChannel
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.mail_message import HtmlTemplate
from athena_reports.settings import settings


def template_of(channel: MailChannel) -> HtmlTemplate | None:
    """Return the template of a channel; None for the usual one.

    Raises:
        DeliveryError: There is no such file in the folder, or it is not text.
    """
    if not channel.template:
        return None
    folder = settings().sql_folder
    path = folder / channel.template
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise DeliveryError(
            f"there is no template {channel.template!r} in {folder}. Correct the name."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DeliveryError(f"{channel.template}: {error}. Save the file as UTF-8.") from error
    return HtmlTemplate(channel.template, text)
