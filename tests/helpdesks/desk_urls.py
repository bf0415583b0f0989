"""The addresses of ``desk_site``: the helpdesk, and ``/mail``, which reads a mail as its mailbox reader does."""

import logging

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def mail(request: HttpRequest) -> HttpResponse:
    from helpdesk.email import extract_email_metadata
    from helpdesk.models import Queue

    ticket = extract_email_metadata(request.body.decode(), Queue.objects.get(), logging.getLogger(__name__))
    return HttpResponse(str(ticket.id if ticket else ""))


urlpatterns = [path("helpdesk/", include("helpdesk.urls")), path("mail", mail)]
